"""Observation of a host during a phase, by one of its ranks, between the pieces that it counts."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mpi_pi.burn_in import sample
from mpi_pi.burn_in.sample import Sample
from mpi_pi.system import sensors
from mpi_pi.system.sensors import Readings

SAMPLE_SECONDS = 2.0
"""Time between two readings of the sensors."""

MIN_SAMPLES = 8
"""Samples of a phase that is too short for as many at that interval."""

MAX_SAMPLES = 256
"""Maximum of samples of a phase; if there are more, neighbours are joined."""

COST_FACTOR = 100
"""Minimum ratio of the time between readings to the time that they take: some systems need 10 ms for the
clock of each core."""


class HostWatch(NamedTuple):
    """What the sensors of a host told in a phase."""

    samples: tuple[Sample, ...] = ()
    modules: tuple[str, ...] = ()
    """Labels of the memory modules with errors that were corrected."""


class Observer:
    """Sensors of this host, from the creation of this object on; `seconds` is the length of the phase."""

    def __init__(
        self,
        seconds: float,
        read: Callable[[], Readings] = sensors.read,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._clock = read, clock
        self._interval = min(SAMPLE_SECONDS, seconds / MIN_SAMPLES)
        self._samples: list[Sample] = []
        self._start = clock()
        self._first = self._last = read()
        self._last_at, self._next_at = 0.0, self._interval

    def poll(self) -> None:
        """Read the sensors if it is time to; usually takes less than a microsecond."""
        now = self._clock() - self._start
        if now >= self._next_at:
            self._take(now)

    def result(self) -> HostWatch:
        """Read the sensors for the last time, and return what they have told."""
        self._take(self._clock() - self._start)
        before, after = self._first.module_errors, self._last.module_errors
        modules = tuple(label for label, count in after.items() if count > before.get(label, 0))
        return HostWatch(tuple(self._samples), modules)

    def _take(self, now: float) -> None:
        readings = self._read()
        cost = self._clock() - self._start - now
        self._samples.append(sample.between(self._last, readings, self._last_at, now))
        self._last, self._last_at = readings, now
        self._next_at = now + max(self._interval, COST_FACTOR * cost)
        if len(self._samples) > MAX_SAMPLES:
            self._samples = sample.add_pairs(self._samples)


def known(samples: Sequence[Sample], member: str) -> list[float]:
    """Return the values of a member of samples, of those that have it."""
    values = (getattr(one, member) for one in samples)
    return [value for value in values if value is not None]
