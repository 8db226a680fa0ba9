"""Whether units differ from each other as much as they should: the dispersion of their hits.

Chi-squared is the sum over the units of z², with z what a unit's hits are off, in standard deviations. For
many points it has the chi-squared distribution, but not for few, where it can take only a few values; so its
chances are had from the binomial distribution itself.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from mpi_pi.model import binomial
from mpi_pi.model.binomial import Floats

FARTHEST = 16.0
"""Standard deviations from the mean beyond which no unit ever is: the chance is below 1e-30."""

STEPS = 64
"""Sums over the hits of a unit go in steps of a 64th of a standard deviation, or of one hit if that is more.
Sums over equidistant points of what is as smooth as these are exact to the last digit."""

MIN_TILT, MAX_TILT = -700.0, 1.0
"""In terms of `Dispersion`. Below, steps would be too wide, and above, floats overflow. The bounds hold for
any tilt in between, if not as tightly. So fewer than five units can never be too much alike."""


class Dispersion(NamedTuple):
    """What chi-squared says, in chances of a correct run."""

    more: float
    """Of a chi-squared as large, or larger: the p-value, after Lugannani and Rice."""
    less: float
    """Of one as small, or smaller."""
    bound: float
    """At most this is the smaller one of them, whatever the units: Chernoff's bound. About 14 times as
    large as the chance itself where that is 1e-8."""


class _Unit:
    """The distribution of z² - 1 of a unit of so many points."""

    def __init__(self, points: int) -> None:
        sigma = float(binomial.deviation(points))
        step = max(1, int(sigma / STEPS))
        mean, reach = points * binomial.P, FARTHEST * sigma
        hits = np.arange(max(0, math.ceil(mean - reach)), min(points, mean + reach) + 1, step)
        weights = binomial.probability(points, hits - mean)
        self.weights = weights / weights.sum()
        self.values = ((hits - mean) / sigma) ** 2 - 1

    def cumulants(self, tilt: float) -> Floats:
        """Return the logarithm of the mean of exp(tilt * value), and its first two derivatives, shape (3,).

        That the mean of the values is 0 is used, so that many units do not add up the errors of small tilts.
        """
        grown = np.expm1(tilt * self.values)
        total = 1 + self.weights @ (grown - tilt * self.values)
        first = (self.weights * self.values) @ grown / total
        second = (self.weights * self.values**2) @ (grown + 1) / total - first**2
        return np.array([np.log1p(self.weights @ (grown - tilt * self.values)), first, second])

    def third(self) -> float:
        """Return the mean of value³."""
        return float(self.weights @ self.values**3)


def dispersion(units: Mapping[int, int], excess: float) -> Dispersion:
    """Judge a chi-squared that exceeds the number of units by `excess`; `units` has it by their points.

    Daniels, "Tail Probability Approximations" (1987): in the distribution tilted by exp(tilt * chi-squared),
    with the tilt for which this chi-squared is the mean, both chances follow from the cumulants.
    """
    kinds = [(_Unit(points), float(number)) for points, number in units.items()]

    def cumulants(tilt: float) -> Floats:
        return sum((number * unit.cumulants(tilt) for unit, number in kinds), np.zeros(3))

    tilt = _solve(cumulants, excess)
    logarithm, _, variance = cumulants(tilt).tolist()
    rate = max(tilt * excess - logarithm, 0.0)
    bound = math.exp(-rate)
    third = sum(number * unit.third() for unit, number in kinds)
    skewness = math.copysign(third, excess) / float(cumulants(0)[2]) ** 1.5
    tail = _lugannani_rice(math.sqrt(2 * rate), abs(tilt) * math.sqrt(max(variance, 0)), skewness)
    if not 0 < tail <= bound:  # of few units, whose chi-squared takes few values
        tail = bound
    return Dispersion(tail, 1 - tail, bound) if excess > 0 else Dispersion(1 - tail, tail, bound)


def _solve(cumulants: Callable[[float], Floats], mean: float) -> float:
    """Return the tilt that gives the distribution that mean, or the nearest there is, by Newton's method."""
    tilt, low, high = 0.0, MIN_TILT, MAX_TILT
    for _ in range(60):
        _, first, second = cumulants(tilt).tolist()
        low, high = (tilt, high) if first < mean else (low, tilt)
        newer = tilt + (mean - first) / second if second > 0 else low
        newer = newer if low < newer < high else (low + high) / 2
        if abs(newer - tilt) <= 1e-6 * abs(newer):  # and squared, what it is off then
            break
        tilt = newer
    return newer


def _lugannani_rice(w: float, u: float, skewness: float) -> float:
    """Return the chance of a tail, by formula (4.9) of Daniels; next to the mean by its limit."""
    density = math.exp(-w * w / 2) / math.sqrt(2 * math.pi)
    if w < 1e-3 or u == 0:
        return 0.5 - w * density - skewness * density / 6
    return math.erfc(w / math.sqrt(2)) / 2 + density * (1 / u - 1 / w)
