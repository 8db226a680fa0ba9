"""Sample of a host: what its sensors told over a short time, from the readings at both ends."""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

from mpi_pi.system import sensors
from mpi_pi.system.machine import SINCE_BOOT_SHIFT
from mpi_pi.system.sensors import Readings

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """Sensors of a host over a time, in seconds since the phase began. The names are JSON members.

    None stands for what the host does not report.
    """

    start_seconds: float
    end_seconds: float
    lowest_mhz: float | None
    highest_mhz: float | None
    """Clock of the slowest and the fastest core at the end."""
    celsius: float | None
    """Temperature of the hottest sensor in the CPUs at the end."""
    watts: float | None
    """Mean power of the CPUs."""
    throttled_seconds: float | None
    """How long the CPU was slowed down, by heat or lack of voltage; Linux may tell when that is over."""
    throttle_events: int | None
    """How often it was, of the core or package that was slowed down most often."""
    under_voltage: bool | None
    corrected_errors: int | None
    """Memory errors that the memory has corrected in this time."""
    uncorrected_errors: int | None

    def __add__(self, later: "Sample") -> "Sample":
        """Return the sample of both times together: extremes, sums, and the mean power."""
        return Sample(
            self.start_seconds,
            later.end_seconds,
            joined(min, self.lowest_mhz, later.lowest_mhz),
            joined(max, self.highest_mhz, later.highest_mhz),
            joined(max, self.celsius, later.celsius),
            self._mean_watts(later),
            joined(operator.add, self.throttled_seconds, later.throttled_seconds),
            joined(operator.add, self.throttle_events, later.throttle_events),
            joined(operator.or_, self.under_voltage, later.under_voltage),
            joined(operator.add, self.corrected_errors, later.corrected_errors),
            joined(operator.add, self.uncorrected_errors, later.uncorrected_errors),
        )

    def _mean_watts(self, later: "Sample") -> float | None:
        if self.watts is None or later.watts is None:
            return later.watts if self.watts is None else self.watts
        own, other = self.end_seconds - self.start_seconds, later.end_seconds - later.start_seconds
        return (self.watts * own + later.watts * other) / max(own + other, 1e-9)


def between(before: Readings, after: Readings, start: float, end: float) -> Sample:
    """Return the sample from `start` to `end`, given the readings at these times."""
    events = _most_more(before.throttle_events, after.throttle_events)
    throttled = _most_more(before.throttle_milliseconds, after.throttle_milliseconds)
    throttled_seconds = None if throttled is None else throttled / 1e3
    if events is not None:
        throttled_seconds = throttled_seconds or 0.0  # older systems count the events alone
    if after.slowed is not None:
        throttled_seconds = max(throttled_seconds or 0.0, end - start if after.slowed else 0.0)
    under_voltage = after.under_voltage
    if before.firmware is not None and after.firmware is not None:
        new = (after.firmware & ~before.firmware) >> SINCE_BOOT_SHIFT
        events = (events or 0) + bool(new & sensors.SLOWED)
        under_voltage = bool(under_voltage or new & sensors.UNDER_VOLTAGE)
    return Sample(
        start,
        end,
        min(after.core_mhz, default=None),
        max(after.core_mhz, default=None),
        after.celsius,
        sensors.watts(before, after, end - start),
        throttled_seconds,
        events,
        under_voltage,
        _more(before.corrected_errors, after.corrected_errors),
        _more(before.uncorrected_errors, after.uncorrected_errors),
    )


def add_pairs(samples: Sequence[Sample]) -> list[Sample]:
    """Return half as many samples, each the sum of two neighbours; an odd last one stays."""
    return [whole(samples[place : place + 2]) for place in range(0, len(samples), 2)]


def whole(samples: Iterable[Sample]) -> Sample:
    """Return the sum of samples, at least one."""
    return reduce(lambda one, later: one + later, samples)


def joined(join: Callable[[T, T], T], one: T | None, other: T | None) -> T | None:
    """Return what `join` makes of two values, or the one that is known."""
    if one is None or other is None:
        return other if one is None else one
    return join(one, other)


def _more(before: int | None, after: int | None) -> int | None:
    """Return how much a counter has grown; a reset by the administrator is no growth."""
    return None if before is None or after is None else max(after - before, 0)


def _most_more(before: Sequence[int], after: Sequence[int]) -> int | None:
    """Return the growth of the counter that grew most; None without counters, or if CPUs came or went."""
    if not after or len(before) != len(after):
        return None
    return max(max(new - old, 0) for old, new in zip(before, after, strict=True))
