"""Messages to Hydra by the wire protocol PMI-1. (Their effect is tested in command/test_mpis.py.)"""

import socket
import threading
from collections.abc import Iterator

import pytest

from mpi_pi.mpi import hydra


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The end of Hydra's proxy, which starts the ranks of a host."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        theirs.settimeout(30)
        monkeypatch.setenv("PMI_FD", str(ours.fileno()))
        monkeypatch.setenv("MPI_LOCALNRANKS", "2")
        yield theirs


def test_leave_waits_for_all_ranks_and_progresses_meanwhile(proxy: socket.socket) -> None:
    progressed = threading.Event()
    left = threading.Thread(target=hydra.leave, args=(progressed.set,))
    left.start()
    assert proxy.recv(100) == b"cmd=barrier_in\n"
    assert progressed.wait(30)
    assert left.is_alive()
    proxy.send(b"cmd=barrier_out\n")
    assert proxy.recv(100) == b"cmd=finalize\n"
    proxy.send(b"cmd=finalize_ack\n")
    left.join(30)
    assert not left.is_alive()


def test_leave_of_a_launcher_that_has_ended_does_not_wait(proxy: socket.socket) -> None:
    proxy.close()
    hydra.leave(lambda: None)


def test_abort_tells_the_status(proxy: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hydra, "LAST_WORD_SECONDS", 0.0)
    hydra.abort(75)
    assert proxy.recv(100) == b"cmd=abort exitcode=75\n"


def test_other_launchers_are_told_nothing(proxy: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's plug-in pmi2 names a descriptor of this name, too, and speaks otherwise."""
    monkeypatch.delenv("MPI_LOCALNRANKS")
    hydra.abort(1)
    proxy.setblocking(False)
    with pytest.raises(BlockingIOError):
        proxy.recv(100)
