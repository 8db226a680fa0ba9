"""Median of repeated measurements, with a confidence interval."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

CONFIDENCE = 0.95
"""Probability with which an interval holds the true median, at least."""

MAX_RATIO = 1.5
"""Quotient of an interval's ends up to which its median is shown as a number."""


@dataclass(frozen=True)
class MedianCI:
    """The median of samples, with an interval that holds the true median."""

    median: float
    low: float
    high: float
    samples: tuple[float, ...]
    """Samples by turn, so that those of measurements that took turns can be paired."""

    @classmethod
    def of(cls, samples: Iterable[float]) -> Self:
        """Return the median of one sample or more, and the interval between two of the samples.

        The interval holds the true median with a probability of at least `CONFIDENCE`, whatever the
        distribution: each sample is below it with probability 1/2, so their number is binomial (Conover,
        "Practical Nonparametric Statistics", 3.2). With fewer than six samples it is their range, which
        holds the median with 1 - 2^(1-n). Raises statistics.StatisticsError, a ValueError, without samples.
        """
        taken = tuple(float(sample) for sample in samples)
        ordered = sorted(taken)
        outside = _samples_outside(len(ordered))
        return cls(statistics.median(ordered), ordered[outside], ordered[-1 - outside], taken)

    @classmethod
    def of_ratio(cls, numerators: Sequence[float], denominators: Sequence[float]) -> Self:
        """Return the median of the quotients of two measurements that took turns, paired turn by turn."""
        return cls.of(a / b for a, b in zip(numerators, denominators, strict=True))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return what `as_fields` has made a JSON object of. Raises KeyError, TypeError or ValueError."""
        median, low, high = (float(fields[name]) for name in ("median", "low", "high"))
        return cls(median, low, high, tuple(map(float, fields["samples"])))

    def as_fields(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self) | {"samples": list(self.samples)}

    @property
    def inconclusive(self) -> bool:
        """True if the interval is too wide to tell the size of a positive quantity."""
        return self.low <= 0 or self.high > MAX_RATIO * self.low


def _samples_outside(number: int) -> int:
    """Return how many of `number` ordered samples lie outside of the interval, at each end.

    The interval misses the true median if no more than these are on one side of it.
    """
    outside, ways = 0, 1
    while 2 * (ways := ways + math.comb(number, outside + 1)) <= (1 - CONFIDENCE) * 2**number:
        outside += 1
    return outside
