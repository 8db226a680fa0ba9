"""Rank 0 gives orders to the other ranks, and hears what comes of them; nobody is waited for without end.

Ranks talk to rank 0 alone, one by one: a host that cannot be reached then keeps none of the others from
telling what they have found out. Collective operations would hang on all ranks and not tell for whom.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpi4py import MPI

ORDER_TAG, ANSWER_TAG = 1, 2

SILENCE_SECONDS = 25.0
"""Who has not been heard of for so long is lost. An outage of a few seconds is none yet: after one, TCP takes
about as long again to notice that the network is back. Where ssh is told to look after its connections, it
notices within 20 s, and mpirun ends the job; Open MPI's does not if the job has ended itself before."""

SIGN_SECONDS = 2.0
"""How often a rank whose work takes long is to say that it is alive."""

FIRST_ORDER_SECONDS = 10.0
"""When a rank that has not had any order complains. Before rank 0 gives it up, so that it can name itself."""

PATIENCE_SECONDS = 300.0
"""How long a rank waits for an order while rank 0 hears the others, and waits for slower ones."""

Alive = Callable[[], None]
Action = Callable[[Any, Alive], Any]
"""From an argument to an answer. What takes longer than `SIGN_SECONDS` calls the second now and then."""

_END = "end"


class RootTimeout(RuntimeError):
    """Rank 0 has not been heard of for too long."""


class CommandLoop:
    """The orders, on rank 0. Arguments and answers are of Python's own types: versions may differ."""

    def __init__(self, comm: "MPI.Intracomm", actions: Mapping[str, Action]) -> None:
        self._comm, self._actions = comm, actions
        self._sent: list[MPI.Request] = []
        self.lost: set[int] = set()
        """Ranks that do not answer any more."""
        self.problems: dict[int, str] = {}
        """What has gone wrong on a rank, in words."""

    def ask_all(self, order: str, argument: Any = None) -> dict[int, Any]:
        """Let all ranks do something at the same time; what they answer, of those that have."""
        others = range(1, self._comm.size)
        self.order(others, order, argument)
        own: dict[int, Any] = {}
        self._take(0, *_attempt(self._actions[order], argument, lambda: None), own)
        return own | self.hear(others)

    def order(self, ranks: Iterable[int], order: str, argument: Any = None) -> None:
        """Tell other ranks to do something. Their answers have to be heard."""
        self._sent += [self._comm.isend((order, argument), rank, ORDER_TAG) for rank in ranks]

    def hear(self, ranks: Iterable[int]) -> dict[int, Any]:
        """What ranks answer to an order; those that do not are lost."""
        answers: dict[int, Any] = {}
        waiting = set(ranks)
        heard_at = dict.fromkeys(waiting, 0.0)
        clock, looked_at = 0.0, time.monotonic()
        while waiting:
            if self._comm.iprobe(tag=ANSWER_TAG):
                rank, kind, value = self._comm.recv(tag=ANSWER_TAG)
                heard_at[rank] = clock
                if kind != "alive":
                    waiting.discard(rank)
                    self._take(rank, kind, value, answers)
                continue
            time.sleep(1e-3)
            now = time.monotonic()
            # A long time between two looks was this rank's own sleep: all may have been suspended.
            clock, looked_at = clock + min(now - looked_at, 0.1), now
            silent = {rank for rank in waiting if clock > heard_at[rank] + SILENCE_SECONDS}
            waiting -= silent
            self.lost |= silent
        return answers

    def end(self) -> None:
        """Let all go home."""
        self.order(range(1, self._comm.size), _END)
        for request in self._sent:
            request.wait()

    def _take(self, rank: int, kind: str, value: Any, answers: dict[int, Any]) -> None:
        if kind == "error":
            self.problems[rank] = value
        else:
            answers[rank] = value


def serve(comm: "MPI.Intracomm", actions: Mapping[str, Action], complain: Callable[[str], None]) -> None:
    """Do what rank 0 orders, until it says that it is over; on every other rank. Raises RootTimeout."""

    def tell(kind: str, value: Any = None) -> None:
        sent.append(comm.isend((comm.rank, kind, value), 0, ANSWER_TAG))

    sent: list[MPI.Request] = []
    if not _wait_for_order(comm, FIRST_ORDER_SECONDS):
        complain(f"{FIRST_ORDER_SECONDS:.0f} s without word from rank 0: messages do not get through")
    while True:
        if not _wait_for_order(comm, PATIENCE_SECONDS):
            raise RootTimeout(f"{PATIENCE_SECONDS:.0f} s without word from rank 0")
        order, argument = comm.recv(source=0, tag=ORDER_TAG)
        if order == _END:
            break
        tell(*_attempt(actions[order], argument, lambda: tell("alive")))
    for request in sent:
        request.wait()


def _wait_for_order(comm: "MPI.Intracomm", seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not comm.iprobe(source=0, tag=ORDER_TAG):
        if time.monotonic() > deadline:
            return False
        time.sleep(1e-3)  # MPI's own waiting would take the core from ranks that share it
    return True


def _attempt(action: Action, argument: Any, alive: Alive) -> tuple[str, Any]:
    try:
        return "value", action(argument, alive)
    except Exception as error:  # of any kind: it is for rank 0 to report
        return "error", " ".join(f"{type(error).__name__}: {error}".split())
