"""What a heartbeat concludes from the messages that have come, without MPI and in a time that is made up."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from mpi_pi.mpi import heartbeat, peer_timeout, time_limit
from mpi_pi.mpi.heartbeat import Heartbeat, HeartbeatTimeout


class Time:
    """A clock, in the place of the module `time`, that goes on only when it is told to."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


class Comm:
    """Rank 0's communicator of a job on hosts; messages are those of the ranks in `heard`."""

    rank = 0
    told = ""
    """What messages tell of silent ranks."""

    def __init__(self, *hosts: str) -> None:
        self.size, self._hosts = len(hosts), hosts
        self.heard: list[int] = []

    def Improbe(self, tag: int) -> Any:  # noqa: N802  # a name of MPI's
        if not self.heard:
            return None
        rank = self.heard.pop()
        content = f"{rank} {self._hosts[rank]} {self.told}".encode()

        def receive(message: bytearray) -> None:
            message[: len(content)] = content

        return SimpleNamespace(Recv=receive)

    def Isend(self, _message: bytes, _peer: int, _tag: int) -> Any:  # noqa: N802
        return SimpleNamespace(Test=lambda: True)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made_up = Time()
    for module in (heartbeat, peer_timeout):
        monkeypatch.setattr(module, "time", made_up)
    return made_up


def pass_seconds(time: Time, beat: Heartbeat, comm: Comm, seconds: float, *speaking: int) -> None:
    """Let time pass, in which these ranks are heard again and again."""
    for _ in range(round(2 * seconds)):
        time.seconds += 0.5
        comm.heard += speaking
        beat.check()


def test_all_silent_ranks_of_a_host_are_named_though_one_was_heard_later(time: Time) -> None:
    comm = Comm("node0", "node7", "node7", "node8", "node7")
    beat: Any = Heartbeat(comm, "node0", threaded=False)  # type: ignore[arg-type]
    pass_seconds(time, beat, comm, 2, 1, 2, 3, 4)
    pass_seconds(time, beat, comm, 4, 2, 3, 4)
    with pytest.raises(HeartbeatTimeout) as raised:
        pass_seconds(time, beat, comm, 70, 3)
    assert str(raised.value) == "host node7 has been silent for 60 s, with rank 1, 2, 4"


def test_time_limit_is_that_of_silence_while_this_rank_is_awake(time: Time) -> None:
    comm = Comm("node0", "node7")
    beat: Any = Heartbeat(comm, "node0", threaded=False)  # type: ignore[arg-type]
    pass_seconds(time, beat, comm, 1, 1)
    time.seconds += 1e6  # asleep
    pass_seconds(time, beat, comm, 59)
    with pytest.raises(HeartbeatTimeout):
        pass_seconds(time, beat, comm, 2)


@pytest.mark.parametrize("raised", [True, False])
def test_process_is_ended_only_if_nobody_was_told_of_the_silence(
    monkeypatch: pytest.MonkeyPatch, raised: bool
) -> None:
    monkeypatch.setattr(time_limit, "patience_seconds", 0.0)
    monkeypatch.setattr(heartbeat, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "GRACE_SECONDS", 3.0 if raised else 0.0)
    said: list[str] = []
    threads = set(threading.enumerate())
    beat = Heartbeat(Comm("node0", "node7"), "node0", True, said.append)  # type: ignore[arg-type]
    (thread,) = set(threading.enumerate()) - threads

    def check_repeatedly() -> None:
        while thread.is_alive():
            beat.check()

    if raised:
        with pytest.raises(HeartbeatTimeout):
            check_repeatedly()
    thread.join(30)
    assert not thread.is_alive()
    assert said == ([] if raised else ["host unknown has been silent for 0 s, with rank 1"])


def test_rank_0_takes_ranks_for_silent_after_half_the_patience(time: Time) -> None:
    comm = Comm("node0", "node1", "node2", "node3")
    beat: Any = Heartbeat(comm, "node0", threaded=False)  # type: ignore[arg-type]
    pass_seconds(time, beat, comm, 2, 1, 2, 3)
    pass_seconds(time, beat, comm, 29, 1)
    assert beat.silent([1, 2]) == set()
    pass_seconds(time, beat, comm, 2, 1)
    assert beat.silent([1, 2]) == {2}


def test_time_for_which_nobody_could_be_heard_counts_as_silence(time: Time) -> None:
    comm = Comm("node0", "node1", "node2")
    beat: Any = Heartbeat(comm, "node0", threaded=False)  # type: ignore[arg-type]
    pass_seconds(time, beat, comm, 2, 1, 2)
    pass_seconds(time, beat, comm, 5, 1)
    assert beat.silent([1, 2], more_seconds=24) == set()
    assert beat.silent([1, 2], more_seconds=26) == {2}
    assert beat.silent([1, 2], more_seconds=31) == {1, 2}


@pytest.mark.parametrize(("told", "silent"), [("", set()), ("2", {2}), ("2,3", {2}), ("*", {2, 0})])
def test_other_ranks_know_of_silent_ones_from_rank_0(time: Time, told: str, silent: set[int]) -> None:
    comm = Comm("node0", "node1", "node2", "node3")
    comm.rank, comm.told = 1, told
    beat: Any = Heartbeat(comm, "node1", threaded=False)  # type: ignore[arg-type]
    pass_seconds(time, beat, comm, 29, 0)
    assert beat.silent([0, 2]) == silent


def test_all_lost_ranks_are_silent_to_one_that_rank_0_is_silent_to(time: Time) -> None:
    comm = Comm("node0", "node1", "node2", "node3")
    comm.rank = 1
    beat: Any = Heartbeat(comm, "node1", threaded=False)  # type: ignore[arg-type]
    pass_seconds(time, beat, comm, 5, 0)
    pass_seconds(time, beat, comm, 31)
    assert beat.silent([0, 3]) == {0, 3}
