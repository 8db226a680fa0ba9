"""Rate of a rank over time, measured where it counts: its own units and those that it recounts for others."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job

WINDOW_SECONDS = 60.0
"""Length of the first and the last time of a phase that are compared, if it has three of them."""

MAX_STEPS = 256
"""Maximum of steps that a phase is divided into; with twice as many, neighbours are joined."""


class Work(NamedTuple):
    """Points that were counted in a time, and what that took."""

    points: int = 0
    seconds: float = 0.0
    """Wall time of all threads of the rank, while they counted."""
    cpu_seconds: float = 0.0

    def plus(self, later: "Work") -> "Work":
        """Return the sum."""
        points, seconds = self.points + later.points, self.seconds + later.seconds
        return Work(points, seconds, self.cpu_seconds + later.cpu_seconds)

    def rate(self, threads: int) -> float | None:
        """Return the points per second of so many threads at work; None if nothing was counted.

        It is that of their CPU time: programs that share their cores with them do not matter.
        """
        return self.points / self.cpu_seconds * threads if self.points and self.cpu_seconds else None

    @property
    def core_share(self) -> float | None:
        """CPU time over wall time, 0 … 1; None if nothing was counted."""
        return min(self.cpu_seconds / self.seconds, 1.0) if self.seconds else None


class Metered(NamedTuple):
    """Work of a rank in a phase."""

    whole: Work
    first: Work
    """Work in the first window of the phase; see `window`."""
    last: Work
    step_seconds: float
    steps: tuple[Work, ...]


class Meter:
    """Meter of what a rank counts of a job, from the creation of this object on.

    `seconds` is the length of the phase.
    """

    def __init__(self, job: Job, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._job, self._clock, self._window = job, clock, window(seconds)
        self._start = clock()
        self._whole = self._first = Work()
        self._recent: deque[tuple[float, Work]] = deque()
        """Work by the second in which it ended, of the last window."""
        self._step_seconds, self._steps = 1.0, [Work()]
        self._adding = threading.Lock()

    def metered(self, kernel: Kernel) -> Kernel:
        """Return a kernel that counts the same, and tells this meter."""

        def count(job: Job, units: range, *stop: Callable[[], bool]) -> NDArray[np.int64]:
            start, cpu_start = time.perf_counter(), time.thread_time()
            hits = kernel.count(job, units, *stop)
            seconds, cpu_seconds = time.perf_counter() - start, time.thread_time() - cpu_start
            if job == self._job:  # and not the known answers
                self.add(Work(job.points_in(units[: len(hits)]), seconds, cpu_seconds))
            return hits

        return replace(kernel, count=count)

    def add(self, work: Work) -> None:
        """Add work that has just ended, in any thread."""
        with self._adding:
            now = self._clock() - self._start
            self._whole = self._whole.plus(work)
            if now <= self._window:
                self._first = self._first.plus(work)
            self._add_recent(now, work)
            self._add_step(now, work)

    def _add_recent(self, now: float, work: Work) -> None:
        second = float(int(now))
        if self._recent and self._recent[-1][0] == second:
            self._recent[-1] = second, self._recent[-1][1].plus(work)
        else:
            self._recent.append((second, work))
        while self._recent[0][0] < now - self._window - 1:
            self._recent.popleft()

    def _add_step(self, now: float, work: Work) -> None:
        while (place := int(now / self._step_seconds)) >= 2 * MAX_STEPS:
            self._steps, self._step_seconds = joined(self._steps), 2 * self._step_seconds
        self._steps += [Work()] * (place + 1 - len(self._steps))
        self._steps[place] = self._steps[place].plus(work)

    def result(self) -> Metered:
        """Return the work up to now."""
        now = self._clock() - self._start
        last = Work()
        for second, work in self._recent:
            if second >= now - self._window:
                last = last.plus(work)
        return Metered(self._whole, self._first, last, self._step_seconds, tuple(self._steps))


def window(seconds: float) -> float:
    """Return the length of the first and the last time of a phase that are compared, in seconds."""
    return min(WINDOW_SECONDS, seconds / 3)


def joined(steps: list[Work]) -> list[Work]:
    """Return half as many steps, each the sum of two neighbours."""
    return [one.plus(later) for one, later in zip(steps[::2], [*steps[1::2], Work()], strict=False)]


def in_steps_of(metered: Metered, seconds: float) -> list[Work]:
    """Return the steps of a rank, joined to this length, which is twice theirs, or four times, and so on."""
    steps, length = list(metered.steps), metered.step_seconds
    while length < seconds:
        steps, length = joined(steps), 2 * length
    return steps
