"""MPI with ULFM in one process: the ranks are threads, of which one runs at a time.

A schedule says which ranks die and when, which rank runs next, and which ranks notice a loss early or late;
the same schedule gives the same run. What a rank has sent before it died may reach only some of the others.
"""

import copy
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import numpy as np

PROC_FAILED, REVOKED, UNDEFINED = 75, 77, -32766


class SimulatedError(Exception):
    """An exception of MPI."""

    def Get_error_class(self) -> int:  # noqa: N802  # a name of MPI's
        return int(self.args[0])

    def Get_error_string(self) -> str:  # noqa: N802
        return f"simulated error {self.args[0]}"


MODULE = SimpleNamespace(
    Exception=SimulatedError,
    ERR_PROC_FAILED=PROC_FAILED,
    ERR_REVOKED=REVOKED,
    UNDEFINED=UNDEFINED,
    ERRORS_RETURN=None,
)
"""What the product uses of mpi4py.MPI."""


class Killed(BaseException):
    """The end of a rank, raised in whatever it does next."""


@dataclass
class Schedule:
    """Decisions of a run."""

    deaths: Sequence[tuple[int, int]] = ()
    """Steps of all ranks together since the last death, and the rank that then dies."""
    order: Sequence[int] = ()
    """Ranks by priority; the others follow."""
    turns: Iterable[int] = ()
    """Steps after which the rank that runs gets the lowest priority."""
    choices: Sequence[bool] = ()
    """Whether an operation still succeeds that may succeed or fail after a loss; True where none is left."""
    made: list[bool] = field(default_factory=list)
    """The choices of the run."""

    def choose(self) -> bool:
        number = len(self.made)
        self.made.append(self.choices[number] if number < len(self.choices) else True)
        return self.made[-1]


class World:
    """All ranks of a job. `run` calls a function on each, with its communicator."""

    def __init__(self, size: int, schedule: Schedule) -> None:
        self.size, self.schedule, self.steps = size, schedule, 0
        self.dead: set[int] = set()
        """Ranks that have died, or have ended."""
        self.killed: list[int] = []
        """Those of the schedule."""
        self.problems: list[BaseException] = []
        """Errors of the simulation or of the ranks, but for those with which a rank leaves alone."""
        self.on_step: Callable[[], object] = lambda: None
        """Called between any two steps."""
        self._deaths, self._died_at = list(schedule.deaths), 0
        self._order = [*schedule.order, *(rank for rank in range(size) if rank not in schedule.order)]
        self._turns = set(schedule.turns)
        self._unfinished = set(range(size))
        self._ready: list[Callable[[], bool]] = [lambda: True] * size
        self._batons = [threading.Semaphore(0) for _ in range(size)]
        self._over = threading.Event()

    def run(self, main: Callable[["Comm"], object]) -> Self:
        context = Context(self, list(range(self.size)))
        threads = [
            threading.Thread(target=self._run_rank, args=(rank, main, Comm(context, rank)), name=str(rank))
            for rank in range(self.size)
        ]
        for thread in threads:
            thread.daemon = True
            thread.start()
        self._pass_on()
        assert self._over.wait(60), "a rank does not end"
        for thread in threads:
            thread.join()
        return self

    def step(self, ready: Callable[[], bool] = lambda: True) -> None:
        """End a step of the rank that calls; return when it is `ready`, and it is its turn."""
        rank = this_rank()
        self._ready[rank] = ready
        self.steps += 1
        if self.steps in self._turns:
            self._order.remove(rank)
            self._order.append(rank)
        if self._deaths and self.steps - self._died_at >= self._deaths[0][0]:
            self._died_at, victim = self.steps, self._deaths.pop(0)[1]
            if victim not in self.dead:
                self.dead.add(victim)
                self.killed.append(victim)
        self.on_step()
        if self._pass_on() != rank:
            self._batons[rank].acquire()
        else:
            self._batons[rank].acquire(blocking=False)
        if rank in self.dead:
            raise Killed

    def _run_rank(self, rank: int, main: Callable[["Comm"], object], comm: "Comm") -> None:
        self._batons[rank].acquire()
        try:
            main(comm)
        except Killed:
            pass
        except BaseException as problem:
            self.problems.append(problem)
        self.dead.add(rank)
        self._unfinished.remove(rank)
        if self._unfinished:
            self._pass_on()
        else:
            self._over.set()

    def _pass_on(self) -> int:
        """Let the next rank run, and return it."""
        able = [
            rank
            for rank in self._order
            if rank in self._unfinished and (rank in self.dead or self._ready[rank]())
        ]
        if not able:  # end them, so that the test does
            self.problems.append(AssertionError(f"ranks {sorted(self._unfinished)} wait for ever"))
            self.dead |= self._unfinished
            able = sorted(self._unfinished)
        self._batons[able[0]].release()
        return able[0]


def this_rank() -> int:
    """Return the rank, in the world, of the thread that calls."""
    return int(threading.current_thread().name)


class Context:
    """What the communicators of the ranks of one group have in common."""

    def __init__(self, world: World, members: list[int]) -> None:
        self.world, self.members, self.revoked = world, members, False
        self.operations: list[Operation] = []
        self.messages: defaultdict[tuple[int, int, int], list[Any]] = defaultdict(list)
        """By sender, receiver and tag."""
        self.shrinking: set[int] = set()
        """Members that have called Shrink."""
        self.shrunk: Context | None = None

    @property
    def broken(self) -> bool:
        return self.revoked or not self.world.dead.isdisjoint(self.members)

    def shrink(self) -> "Context":
        if self.shrunk is None:
            dead = self.world.dead
            # A member that has died meanwhile may be in the new group.
            left = [
                rank
                for rank in self.members
                if rank not in dead or (rank in self.shrinking and not self.world.schedule.choose())
            ]
            self.shrunk = Context(self.world, left)
        return self.shrunk


class Operation:
    """A collective operation; `parts` are what the ranks have sent, by rank."""

    def __init__(self, kind: str) -> None:
        self.kind, self.parts = kind, dict[int, Any]()

    def may_end(self, rank: int, size: int) -> bool:
        if self.kind in ("barrier", "allgather") or (self.kind.startswith("gather") and rank == 0):
            return len(self.parts) == size
        return 0 in self.parts or self.kind.startswith("gather")


class Request:
    """An operation on one rank, with `receive`, which puts what has arrived into its place."""

    def __init__(self, comm: "Comm", operation: Operation, receive: Callable[[], object]) -> None:
        self._comm, self._operation, self._receive = comm, operation, receive

    def Test(self) -> bool:  # noqa: N802
        """Wait until the operation is complete or has failed, though MPI's would not."""
        context, comm = self._comm.context, self._comm

        def complete() -> bool:
            return self._operation.may_end(comm.rank, comm.size)

        context.world.step(lambda: complete() or context.broken)
        if not complete() or (context.broken and not context.world.schedule.choose()):
            raise SimulatedError(REVOKED if context.revoked else PROC_FAILED)
        self._receive()
        return True


class Message:
    """A message from one rank to another, being sent or received; `arrived` has those that were sent."""

    def __init__(self, comm: "Comm", arrived: list[Any] | None = None, place: Any = None) -> None:
        self._comm, self._arrived, self._place = comm, arrived, place

    def Test(self) -> bool:  # noqa: N802
        """Wait until the message is there or a rank is lost, though MPI's would not."""
        context = self._comm.context

        def complete() -> bool:
            return self._arrived is None or bool(self._arrived)

        context.world.step(lambda: complete() or context.broken)
        if not complete() or (context.broken and not context.world.schedule.choose()):
            raise SimulatedError(REVOKED if context.revoked else PROC_FAILED)
        if self._arrived is not None:
            message = self._arrived.pop(0)
            assert len(message) == len(self._place), "the receiver expects a message of another length"
            self._place[:] = message
        return True


class Comm:
    """A communicator on one rank, as mpi4py has it. Rank 0 is the root of all operations."""

    def __init__(self, context: Context, rank: int) -> None:
        self.context, self.rank, self.size = context, rank, len(context.members)
        self._posted = 0

    def _post(self, kind: str, part: Any, receive: Callable[[Operation], object]) -> Request:
        self.context.world.step()
        operations = self.context.operations
        if self._posted == len(operations):
            operations.append(Operation(kind))
        operation = operations[self._posted]
        assert operation.kind == kind, f"rank {this_rank()}: {kind}, where others are at {operation.kind}"
        self._posted += 1
        operation.parts[self.rank] = part
        return Request(self, operation, lambda: receive(operation))

    def Ibarrier(self) -> Request:  # noqa: N802
        return self._post("barrier", None, lambda operation: None)

    def Iallgather(self, row: Any, rows: Any) -> Request:  # noqa: N802
        return self._post("allgather", np.array(row), lambda operation: _fill(rows, operation))

    def Igather(self, row: Any, rows: Any) -> Request:  # noqa: N802
        return self._post("gather", np.array(row), lambda operation: _fill(rows, operation))

    def Igatherv(self, part: Any, received: Any) -> Request:  # noqa: N802
        def receive(operation: Operation) -> None:
            if received is not None:
                place, sizes = received
                parts = [operation.parts[rank] for rank in range(self.size)]
                assert [len(part) for part in parts] == sizes
                place[: sum(sizes)] = np.concatenate(parts)

        return self._post("gatherv", np.array(part), receive)

    def Iscatter(self, rows: Any, row: Any) -> Request:  # noqa: N802
        def receive(operation: Operation) -> None:
            row[:] = operation.parts[0][self.rank]

        return self._post("scatter", None if rows is None else np.array(rows), receive)

    def Ibcast(self, message: Any) -> Request:  # noqa: N802
        def receive(operation: Operation) -> None:
            assert len(message) == len(operation.parts[0])
            message[:] = operation.parts[0]

        return self._post("bcast", copy.copy(message), receive)

    def Isend(self, message: Any, dest: int, tag: int) -> Message:  # noqa: N802
        self.context.world.step()
        self.context.messages[self.rank, dest, tag].append(np.array(message))
        return Message(self)

    def Irecv(self, message: Any, source: int, tag: int) -> Message:  # noqa: N802
        self.context.world.step()
        return Message(self, self.context.messages[source, self.rank, tag], message)

    def Iprobe(self) -> bool:  # noqa: N802
        self.context.world.step()
        if self.context.broken and not self.context.world.schedule.choose():
            raise SimulatedError(REVOKED if self.context.revoked else PROC_FAILED)
        return False

    def Revoke(self) -> None:  # noqa: N802
        self.context.world.step()
        self.context.revoked = True

    def Shrink(self) -> "Comm":  # noqa: N802
        context, world = self.context, self.context.world
        context.shrinking.add(this_rank())
        world.step(
            lambda: context.shrunk is not None or set(context.members) - world.dead <= context.shrinking
        )
        shrunk = context.shrink()
        return Comm(shrunk, shrunk.members.index(this_rank()))

    def Set_errhandler(self, _: object) -> None:  # noqa: N802
        pass

    def Get_group(self) -> "Group":  # noqa: N802
        return Group(self.context.members)


def _fill(rows: Any, operation: Operation) -> None:
    """Put the parts of all ranks into `rows`, unless this rank is to receive nothing."""
    if rows is None:
        return
    for rank, part in operation.parts.items():
        rows[rank] = part if np.ndim(rows) > 1 or np.ndim(part) == 0 else part[0]


class Group:
    """The group of a communicator."""

    def __init__(self, members: Sequence[int]) -> None:
        self._members = members

    def Translate_ranks(self, _: None, other: "Group") -> list[int]:  # noqa: N802
        places = {rank: place for place, rank in enumerate(other._members)}
        return [places.get(rank, UNDEFINED) for rank in self._members]

    def Free(self) -> None:  # noqa: N802
        pass
