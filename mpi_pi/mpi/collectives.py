"""Collective operations that yield the core while they wait, and errors that all ranks raise.

All ranks of a communicator call these functions in the same order. An error on one rank is sent to all of
them in the next exchange and raised on all, so that no rank is left waiting.
"""

import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mpi_pi.errors import MpiPiError, RunError
from mpi_pi.formatting import format_some
from mpi_pi.mpi.heartbeat import HeartbeatTimeout
from mpi_pi.mpi.requests import Progress, no_progress, wait
from mpi_pi.mpi.runtime import host_name

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")

INLINE_BYTES = 4096
"""Largest size of a pickled value that is broadcast in one message; a larger one takes two."""


class CollectiveError(RunError):
    """An error on some ranks, raised on all ranks. Its text names ranks and hosts, a line for each problem.

    Its cause is the error of this rank, if it has one.
    """


def allgather(
    comm: "MPI.Intracomm", row: NDArray[np.int64], progress: Progress = no_progress
) -> NDArray[np.int64]:
    """Return the rows of all ranks, int64 (ranks, columns)."""
    rows = np.empty((comm.size, row.size), np.int64)
    wait(comm.Iallgather(row, rows), progress)
    return rows


def bcast(comm: "MPI.Intracomm", value: T | None, progress: Progress = no_progress) -> T:
    """Return the `value` of rank 0, any picklable object: the object itself there, a copy on other ranks."""
    pickled = pickle.dumps(value) if comm.rank == 0 else b""
    message = bytearray(len(pickled).to_bytes(8) + pickled[:INLINE_BYTES]).ljust(8 + INLINE_BYTES)
    wait(comm.Ibcast(message), progress)
    size = int.from_bytes(message[:8])
    rest = bytearray(pickled[INLINE_BYTES:] or max(size - INLINE_BYTES, 0))
    if rest:
        wait(comm.Ibcast(rest), progress)
    if comm.rank > 0:
        value = pickle.loads(message[8 : 8 + size] + rest)  # noqa: S301  # of rank 0
    return cast("T", value)


def gather(comm: "MPI.Intracomm", value: T, progress: Progress = no_progress) -> list[T] | None:
    """Return the values of all ranks, by rank, on rank 0; None on the other ranks."""
    pickled = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = np.empty(comm.size, np.int64) if comm.rank == 0 else None
    size_sent = comm.Igather(np.array([len(pickled)], np.int64), sizes)
    if sizes is None:  # this rank need not know the sizes before it sends its value
        value_sent = comm.Igatherv(pickled, None)
        wait(size_sent, progress)
        wait(value_sent, progress)
        return None
    wait(size_sent, progress)
    ends = np.cumsum(sizes)
    received = np.empty(int(ends[-1]), np.uint8)
    wait(comm.Igatherv(pickled, [received, sizes.tolist()]), progress)
    return [pickle.loads(part.tobytes()) for part in np.split(received, ends[:-1])]  # noqa: S301  # of ranks


def call_on_all(comm: "MPI.Intracomm", action: Callable[[], T], progress: Progress = no_progress) -> T:
    """Call `action` on every rank, wait until all have, and return this rank's value.

    Raises CollectiveError on all ranks if `action` raises on any.
    """
    problem: BaseException | None = None
    try:
        value = action()
    except HeartbeatTimeout:
        raise  # no collective operation is possible any more
    except BaseException as error:
        problem = error
    raise_on_all(comm, problem, progress)
    return value


def call_on_root(comm: "MPI.Intracomm", action: Callable[[], T], progress: Progress = no_progress) -> T:
    """Call `action` on rank 0 only, and return its value on all ranks.

    Raises the MpiPiError of `action` on all ranks, and CollectiveError for an error of any other class.
    """
    value: T | None = None
    error: MpiPiError | None = None
    if comm.rank == 0:
        try:
            value = action()
        except MpiPiError as foreseen:
            error = foreseen
        except BaseException as problem:
            error = error_of([description(problem)])
            error.__cause__ = problem
    value, error = bcast(comm, (value, error), progress)
    if error is not None:
        raise error
    return cast("T", value)


def raise_on_all(
    comm: "MPI.Intracomm", problem: BaseException | None, progress: Progress = no_progress
) -> None:
    """Raise CollectiveError on all ranks, with the problems of all, if any rank has one."""
    if allgather(comm, np.array([problem is not None], np.int64), progress).any():
        problems = gather(comm, None if problem is None else description(problem), progress)
        raise bcast(comm, error_of(problems) if problems else None, progress) from problem


def description(problem: BaseException) -> tuple[str, str]:
    """Return the name of this rank's host, and an error as one line of text."""
    text = " ".join(str(problem).split())
    expected = isinstance(problem, OSError | RuntimeError | ValueError | MpiPiError) and text
    return host_name(), text if expected else f"{type(problem).__name__}: {text}"


def error_of(problems: Sequence[tuple[str, str] | None]) -> CollectiveError:
    """Return the error for the problems of ranks, by rank: a `description`, or None for no problem."""
    ranks: dict[str, list[str]] = {}
    for rank, problem in enumerate(problems):
        if problem is not None:
            host, text = problem
            ranks.setdefault(text, []).append(f"rank {rank} on host {host}")
    return CollectiveError("\n".join(f"{', '.join(those)}: {text}" for text, those in ranks.items()))


def require_identical(comm: "MPI.Intracomm", plan: str, progress: Progress = no_progress) -> None:
    """Raise CollectiveError on all ranks unless their plans, texts that the error quotes, are equal."""
    plans = gather(comm, (host_name(), plan), progress)
    call_on_root(comm, lambda: raise_unless_identical(plans or []), progress)


def raise_unless_identical(plans: Sequence[tuple[str, str]]) -> None:
    """Raise CollectiveError if plans of ranks differ, given the host and the plan of each rank."""
    counts = Counter(plan for _, plan in plans)
    if len(counts) > 1:
        (norm, _), *_ = counts.most_common(1)
        differs = "is set to do {}, where most ranks do {}"
        raise error_of([None if plan == norm else (host, differs.format(plan, norm)) for host, plan in plans])


def unique_by_rank(texts: Sequence[str]) -> list[str]:
    """Return the distinct texts of ranks except "", each after the first rank that has it."""
    return [
        f"{format_some([f'rank {texts.index(text)}'], 1, count)}: {text}"
        for text, count in Counter(texts).items()
        if text
    ]
