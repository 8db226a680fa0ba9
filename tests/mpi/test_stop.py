"""Stop requests that several ranks make."""

import signal

import pytest
from mpi4py import MPI

from mpi_pi.mpi.stop import TAG, TIME_LIMIT, StopRequest

COMM = MPI.COMM_WORLD


@pytest.mark.mpi(min_size=2)
@pytest.mark.parametrize("others", [TIME_LIMIT, int(signal.SIGUSR2)])
def test_rank_that_stops_by_itself_keeps_its_reason(others: int) -> None:
    """Rank 0 tells why the run has ended, and has the exit status of that."""
    own = int(signal.SIGTERM) if COMM.rank == 0 else others
    signals = COMM.Dup()
    stop = StopRequest()
    stop.connect(signals)
    COMM.Barrier()
    stop.request(own)
    assert stop.poll()
    stop.disconnect()
    assert stop.reason == own
    signals.Free()


@pytest.mark.mpi(min_size=3)
def test_request_of_one_rank_reaches_all_others_by_way_of_rank_0() -> None:
    signals = COMM.Dup()
    stop = StopRequest()
    stop.connect(signals)
    if COMM.rank == COMM.size - 1:
        stop.request(signal.SIGUSR1)
    while not stop.poll():
        pass
    stop.disconnect()
    assert stop.reason == signal.SIGUSR1
    signals.Free()


@pytest.mark.mpi(min_size=2)
def test_request_leaves_no_message_behind_however_often_it_is_connected() -> None:
    signals = COMM.Dup()
    stop = StopRequest()
    stop.request(signal.SIGTERM)
    for _ in range(3):
        stop.connect(signals)
        assert stop.poll()
        stop.disconnect()
        COMM.Barrier()
        assert not any(signals.Iprobe(tag=TAG) for _ in range(1000))
        COMM.Barrier()
    signals.Free()
