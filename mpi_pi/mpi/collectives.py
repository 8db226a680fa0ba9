"""Collective operations that leave the core to others, and errors that are raised on all ranks alike.

All ranks of a communicator call these functions in the same order. What goes wrong on one rank is told to
all of them in the next exchange and raised on all, so that no rank is left waiting.
"""

import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mpi_pi.errors import MpiPiError, RunError
from mpi_pi.mpi.heartbeat import HeartbeatTimeout
from mpi_pi.mpi.requests import Progress, no_progress, wait
from mpi_pi.mpi.runtime import host_name

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")

INLINE_BYTES = 4096
"""A broadcast value of at most so many bytes, pickled, takes one message, a longer one two."""


class CollectiveError(RunError):
    """An error on some ranks, raised on all ranks alike. Names ranks and hosts, a line for each problem.

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
    """Return `value` of rank 0 on all ranks; it can be any object that can be pickled."""
    pickled = pickle.dumps(value) if comm.rank == 0 else b""
    message = np.zeros(8 + INLINE_BYTES, np.uint8)
    message[:8].view(np.int64)[0] = len(pickled)
    inline = np.frombuffer(pickled[:INLINE_BYTES], np.uint8)
    message[8 : 8 + len(inline)] = inline
    wait(comm.Ibcast(message), progress)
    size = int(message[:8].view(np.int64)[0])
    rest = bytearray(pickled[INLINE_BYTES:] if comm.rank == 0 else max(size - INLINE_BYTES, 0))
    if rest:
        wait(comm.Ibcast(rest), progress)
    received: T = pickle.loads(message[8 : 8 + min(size, INLINE_BYTES)].tobytes() + rest)  # noqa: S301  # of a rank
    return received


def gather(comm: "MPI.Intracomm", value: T, progress: Progress = no_progress) -> list[T] | None:
    """Return the values of all ranks, by rank, on rank 0; None on the other ranks."""
    pickled = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = np.empty(comm.size, np.int64) if comm.rank == 0 else None
    told = comm.Igather(np.array([len(pickled)], np.int64), sizes)
    if sizes is None:  # its value may follow at once
        sent = comm.Igatherv(pickled, None)
        wait(told, progress)
        wait(sent, progress)
        return None
    wait(told, progress)
    ends = np.cumsum(sizes)
    received = np.empty(int(ends[-1]), np.uint8)
    wait(comm.Igatherv(pickled, [received, sizes.tolist()]), progress)
    return [pickle.loads(part.tobytes()) for part in np.split(received, ends[:-1])]  # noqa: S301  # of ranks


def call_on_all(comm: "MPI.Intracomm", action: Callable[[], T], progress: Progress = no_progress) -> T:
    """Call `action` on every rank, and return its value there.

    Ranks that are done wait for the others. Raises CollectiveError on all ranks if `action` raises on any.
    """
    problem: BaseException | None = None
    try:
        value = action()
    except HeartbeatTimeout:
        raise  # the ranks cannot meet any more
    except BaseException as error:
        problem = error
    raise_on_all(comm, problem, progress)
    return value


def call_on_root(comm: "MPI.Intracomm", action: Callable[[], T], progress: Progress = no_progress) -> T:
    """Call `action` on rank 0 alone, and return its value on all ranks.

    A foreseen error (MpiPiError) is raised on all ranks as it is, any other one as CollectiveError.
    """
    value: T | None = None
    problem: BaseException | None = None
    if comm.rank == 0:
        try:
            value = action()
        except BaseException as error:
            problem = error
    foreseen = problem if isinstance(problem, MpiPiError) else None
    if problem is not None and foreseen is None:
        foreseen = error_of([description(problem)])
    told: tuple[T | None, MpiPiError | None] = bcast(comm, (value, foreseen), progress)
    if told[1] is not None:
        raise told[1] from problem
    return cast("T", told[0])


def raise_on_all(
    comm: "MPI.Intracomm", problem: BaseException | None, progress: Progress = no_progress
) -> None:
    """Raise CollectiveError on all ranks if any rank has a problem; it names all ranks that have one."""
    flags = allgather(comm, np.array([problem is not None], np.int64), progress)
    if not flags.any():
        return
    problems = gather(comm, None if problem is None else description(problem), progress)
    error = bcast(comm, error_of(problems) if problems else None, progress)
    raise error from problem


def description(problem: BaseException) -> tuple[str, str]:
    """Return the name of this rank's host and a line about an error."""
    text = " ".join(str(problem).split())
    expected = isinstance(problem, OSError | RuntimeError | ValueError | MpiPiError) and text
    return host_name(), text if expected else f"{type(problem).__name__}: {text}"


def error_of(problems: Sequence[tuple[str, str] | None]) -> CollectiveError:
    """Return the error that names all ranks with a problem, given a `description` or None for each rank."""
    ranks: dict[str, list[str]] = {}
    for rank, problem in enumerate(problems):
        if problem is not None:
            host, text = problem
            ranks.setdefault(text, []).append(f"rank {rank} on host {host}")
    return CollectiveError("\n".join(f"{', '.join(those)}: {text}" for text, those in ranks.items()))


def require_identical(comm: "MPI.Intracomm", plan: str, progress: Progress = no_progress) -> None:
    """Raise CollectiveError on all ranks unless all of them have the same plan, a text for people."""
    plans = gather(comm, (host_name(), plan), progress)
    call_on_root(comm, lambda: raise_unless_identical(plans or []), progress)


def raise_unless_identical(plans: Sequence[tuple[str, str]]) -> None:
    """Raise CollectiveError unless all ranks have the same plan; it names those that differ from most.

    `plans` holds the host and the plan of each rank.
    """
    counts = Counter(plan for _, plan in plans)
    if len(counts) > 1:
        (norm, _), *_ = counts.most_common(1)
        differs = "is set to do {}, where most ranks do {}"
        raise error_of([None if plan == norm else (host, differs.format(plan, norm)) for host, plan in plans])


def unique_by_rank(texts: Sequence[str]) -> list[str]:
    """Return the different texts that ranks have, except "", each with the ranks that have it."""
    ranks: dict[str, list[int]] = {}
    for rank, text in enumerate(texts):
        ranks.setdefault(text, []).append(rank)
    return [
        f"rank {those[0]}{f' and {len(those) - 1} more' if len(those) > 1 else ''}: {text}"
        for text, those in ranks.items()
        if text
    ]
