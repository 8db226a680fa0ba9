"""Commands of rank 0 to the other ranks, and their answers; every wait has a time-out.

Each rank exchanges messages with rank 0 alone, so that a host that cannot be reached does not hold up the
others. A collective operation would hang on all ranks without telling which host is missing.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mpi_pi.mpi.peer_timeout import REPLY_TIMEOUT_SECONDS, AwakeClock, PeerTimeout

if TYPE_CHECKING:
    from mpi4py import MPI

COMMAND_TAG, ANSWER_TAG = 1, 2

KEEP_ALIVE_SECONDS = 2.0
"""Interval at which a rank whose action takes long sends a keep-alive message."""

FIRST_COMMAND_SECONDS = 10.0
"""Wait for the first command after which a rank complains. It is shorter than REPLY_TIMEOUT_SECONDS, after
which rank 0 may end the job, so that the rank can still name itself."""

ROOT_TIMEOUT_SECONDS = 300.0
"""Wait for a command after which a rank gives up; long, because rank 0 waits for slower ranks in between."""

KeepAlive = Callable[[], None]
Action = Callable[[Any, KeepAlive], Any]
"""A function that turns an argument into an answer, and calls KeepAlive every `KEEP_ALIVE_SECONDS`."""

_END = "end"


class CommandLoop:
    """Rank 0's side of the loop. Arguments and answers are built-in types: ranks may run other versions."""

    def __init__(self, comm: "MPI.Intracomm", actions: Mapping[str, Action]) -> None:
        self._comm, self._actions = comm, actions
        self._sent: list[MPI.Request] = []
        self.lost: set[int] = set()
        """Ranks that have not answered in time."""
        self.problems: dict[int, str] = {}
        """Error messages, by the rank whose action has failed."""

    def call_on_all(self, command: str, argument: Any = None) -> dict[int, Any]:
        """Run a command on all ranks but lost ones; return the answers, by rank, of those that succeed."""
        others = [rank for rank in range(1, self._comm.size) if rank not in self.lost]
        self.send(others, command, argument)
        own: dict[int, Any] = {}
        self._record(0, *_attempt(self._actions[command], argument, lambda: None), own)
        return own | self.collect(others)

    def send(self, ranks: Iterable[int], command: str, argument: Any = None) -> None:
        """Send a command to other ranks, whose answers have to be collected."""
        self._sent += [self._comm.isend((command, argument), rank, COMMAND_TAG) for rank in ranks]

    def collect(self, ranks: Iterable[int]) -> dict[int, Any]:
        """Return the answers of other ranks to a command, by rank; add those that time out to `lost`."""
        answers: dict[int, Any] = {}
        waiting = set(ranks)
        heard_at = dict.fromkeys(waiting, 0.0)
        clock = AwakeClock(max_step=0.1)
        while waiting:
            if self._comm.iprobe(tag=ANSWER_TAG):
                rank, kind, value = self._comm.recv(tag=ANSWER_TAG)
                heard_at[rank] = clock.seconds
                if kind != "alive":
                    waiting.discard(rank)
                    self._record(rank, kind, value, answers)
                continue
            time.sleep(1e-3)
            now = clock.tick()
            silent = {rank for rank in waiting if now > heard_at[rank] + REPLY_TIMEOUT_SECONDS}
            waiting -= silent
            self.lost |= silent
        return answers

    def end(self) -> None:
        """End the loop on all ranks."""
        self.send(range(1, self._comm.size), _END)
        for request in self._sent:
            request.wait()

    def _record(self, rank: int, kind: str, value: Any, answers: dict[int, Any]) -> None:
        if kind == "error":
            self.problems[rank] = value
        else:
            answers[rank] = value


def serve(comm: "MPI.Intracomm", actions: Mapping[str, Action], complain: Callable[[str], None]) -> None:
    """Run the commands of rank 0 on this other rank until rank 0 ends the loop.

    `complain` is called with a line for the user if the first command is late. Raises PeerTimeout if rank 0
    is silent.
    """

    def send(kind: str, value: Any = None) -> None:
        sent.append(comm.isend((comm.rank, kind, value), 0, ANSWER_TAG))

    sent: list[MPI.Request] = []
    if not _wait_for_command(comm, FIRST_COMMAND_SECONDS):
        complain(f"{FIRST_COMMAND_SECONDS:.0f} s without word from rank 0: messages do not get through")
    while True:
        if not _wait_for_command(comm, ROOT_TIMEOUT_SECONDS):
            raise PeerTimeout(f"{ROOT_TIMEOUT_SECONDS:.0f} s without word from rank 0")
        command, argument = comm.recv(source=0, tag=COMMAND_TAG)
        if command == _END:
            break
        send(*_attempt(actions[command], argument, lambda: send("alive")))
    for request in sent:
        request.wait()


def _wait_for_command(comm: "MPI.Intracomm", seconds: float) -> bool:
    """Wait until there is a command; return False if there is none in time."""
    deadline = time.monotonic() + seconds
    while not comm.iprobe(source=0, tag=COMMAND_TAG):
        if time.monotonic() > deadline:
            return False
        time.sleep(1e-3)  # MPI's own waiting would take the core from ranks that share it
    return True


def _attempt(action: Action, argument: Any, keep_alive: KeepAlive) -> tuple[str, Any]:
    """Return ("value", answer) or ("error", text): messages to rank 0."""
    try:
        return "value", action(argument, keep_alive)
    except Exception as error:  # of any kind: it is for rank 0 to report
        return "error", " ".join(f"{type(error).__name__}: {error}".split())
