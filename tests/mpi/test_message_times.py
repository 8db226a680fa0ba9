"""Messages between two ranks: they arrive, and are timed. The tests need mpirun, see run_all.py."""

import time

import numpy as np
import pytest
from mpi4py import MPI

from mpi_pi.mpi import message_times
from mpi_pi.mpi.message_times import Effort, Pair
from mpi_pi.mpi.peer_timeout import PeerTimeout

COMM = MPI.COMM_WORLD
SIZES = (1, 4096, 1 << 20)
pytestmark = pytest.mark.mpi(min_size=2)


def both(effort: Effort, max_bytes: int) -> tuple[Pair, list[message_times.SizeTimes]] | None:
    """Measure between the first two ranks; return this rank's side, and the rows on rank 0."""
    if COMM.rank > 1:
        return None
    pair = Pair(COMM, 1 - COMM.rank, max_bytes, lambda: None)
    if COMM.rank == 0:
        return pair, pair.lead(effort)
    pair.follow()
    return pair, []


def test_all_sizes_are_measured_and_every_byte_arrives() -> None:
    larger = 2 * SIZES[-1]
    found = both(Effort(SIZES, 3, 0.05, 60.0), larger)
    if found is None:
        return
    pair, rows = found
    # Each rank sends ones, and has received as many as the largest message has, and no more.
    assert (pair._incoming[: SIZES[-1]] == 1).all()
    assert (pair._incoming[SIZES[-1] :] == 0).all()
    if COMM.rank == 0:
        assert tuple(row.message_bytes for row in rows) == SIZES
        for row in rows:
            assert len(row.latency_seconds) == len(row.bytes_per_second) == 3
            assert min(*row.latency_seconds, *row.bytes_per_second) > 0
            assert 2 <= row.window <= 64


def test_latency_is_half_of_the_time_there_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of which every exchange takes a second."""
    if COMM.rank == 0:
        exchanges = 0
        ask = Pair._ask

        def count(*arguments: object) -> None:
            nonlocal exchanges
            exchanges += 1
            ask(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(Pair, "_ask", count)
        monkeypatch.setattr(time, "perf_counter", lambda: float(exchanges))
    found = both(Effort((8,), 3, 1e3, 1e3), 8)
    if found and COMM.rank == 0:
        (row,) = found[1]
        assert row.latency_seconds == [0.5] * 3
        assert row.bytes_per_second == [8 * row.window] * 3


def test_sizes_without_time_are_left_out() -> None:
    found = both(Effort(SIZES, 3, 0.0, 0.0), SIZES[-1])
    if found and COMM.rank == 0:
        assert [row.message_bytes for row in found[1]] == [SIZES[0]]


def test_rank_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_times, "SILENCE_SECONDS", 0.2)
    if COMM.rank == 0:
        alive: list[float] = []
        monkeypatch.setattr(message_times, "KEEP_ALIVE_SECONDS", 0.05)
        pair = Pair(COMM, 1, 8, lambda: alive.append(time.perf_counter()))
        with pytest.raises(PeerTimeout):
            pair.follow()  # what rank 1, which is not asked to lead, does not begin
        assert len(alive) >= 2
    COMM.Barrier()
    if COMM.rank == 1:
        COMM.Send(
            np.full(len(message_times.Batch._fields), message_times.END, np.int64),
            0,
            message_times.CONTROL_TAG,
        )
