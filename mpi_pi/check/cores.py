"""Known answers and rate of each core, counted by threads that are bound to it, on all cores at once."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.system import activity

T = TypeVar("T")

CALL_SECONDS = 0.05
"""Time that one call of the kernel takes at least, once it is known how fast it is: between calls, the
threads of many cores have to take turns."""


class Work(NamedTuple):
    """Points that a core has counted."""

    points: int
    seconds: float
    """Wall time."""
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Points per second of CPU time."""
        return self.points / max(self.cpu_seconds, 1e-9)

    @property
    def core_share(self) -> float:
        """CPU time over wall time."""
        return min(self.cpu_seconds / max(self.seconds, 1e-9), 1.0)


def usable(cores: Iterable[int]) -> list[int]:
    """Return those of the cores that this process may be bound to, whether or not it may use them now."""
    before, found = os.sched_getaffinity(0), []
    for core in cores:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, (core,))
            found.append(core)
    os.sched_setaffinity(0, before)
    return found


def on_each(cores: Iterable[int], act: Callable[[], T], seconds: float) -> dict[int, T]:
    """Call `act` in a thread on each core, on all at once; return what those return that end in time.

    Raises the exception of one that raises.
    """
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def bound(core: int) -> None:
        try:
            os.sched_setaffinity(0, (core,))  # of this thread
            results[core] = act()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=bound, args=(core,), daemon=True) for core in cores]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    if errors:
        raise errors[0]
    return dict(sorted(results.copy().items()))


def known_answers(kernel: Kernel, cores: Iterable[int], seconds: float) -> dict[int, bool]:
    """Return whether each core counts the known answers, without those that had no time to."""
    return on_each(cores, kernel.self_test, seconds)


def rates(
    kernel: Kernel, cores: Iterable[int], seconds: float
) -> tuple[dict[int, Work], Mapping[int, float]]:
    """Let all cores count at once; return what each did, and the share of each that others took meanwhile.

    The threads leave a core as soon as anybody else needs it.
    """
    before, start = activity.busy_seconds(), time.monotonic()
    work = on_each(cores, lambda: _count(kernel, seconds), 4 * seconds)
    elapsed = time.monotonic() - start
    work |= {core: Work(0, elapsed, 0.0) for core in cores if core not in work}  # it got no time at all
    own = {core: done.cpu_seconds for core, done in work.items()}
    return work, activity.shares(before, activity.busy_seconds(), elapsed, own)


def _count(kernel: Kernel, seconds: float) -> Work:
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # of this thread
    job, first, units = Job(trials=1 << 40, points=1 << 16, seed=0), 0, 1
    start, cpu_start = time.monotonic(), time.thread_time()
    while (begun := time.monotonic()) < start + seconds:
        kernel.count(job, range(first, first + units))
        first += units
        if time.monotonic() < begun + CALL_SECONDS:
            units *= 2
    return Work(first * job.points, time.monotonic() - start, time.thread_time() - cpu_start)


def better(one: Work, other: Work | None) -> Work:
    """Return work with the higher rate of both, and the higher share of the core."""
    if other is None:
        return one
    faster = max(one, other, key=lambda work: work.rate)
    share = max(one.core_share, other.core_share)
    return faster._replace(seconds=faster.cpu_seconds / max(share, 1e-9))
