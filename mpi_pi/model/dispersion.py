"""Dispersion test: a comparison of the variance of the units' hits with the binomial one.

Chi-squared is the sum of z² over the units, with z the deviation of a unit's hits in standard deviations.
With few points a unit takes few values, and chi-squared does not have its limiting distribution; so the
probabilities are computed from the binomial distribution.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from mpi_pi.model import binomial
from mpi_pi.model.binomial import Floats

MAX_DEVIATION = 16.0
"""Limit of sums over the hits of a unit, in standard deviations: the probability beyond is below 1e-30."""

STEPS = 64
"""Steps of those sums per standard deviation, at least one hit wide. Sums over equidistant points of
functions as smooth as these are exact to rounding."""

MIN_TILT, MAX_TILT = -700.0, 1.0
"""Below, steps would be too wide; above, doubles overflow. The bounds in `Dispersion` hold for any tilt
between, though less tightly: fewer than five units can never be too much alike."""


class Dispersion(NamedTuple):
    """Probabilities under the null hypothesis."""

    p_value: float
    """Probability of a chi-squared as large, or larger, by the formula of Lugannani and Rice."""
    lower_p_value: float
    """Probability of one as small, or smaller."""
    bound: float
    """Upper bound of the smaller of the two (Chernoff), for any units; about 14 times it where it is 1e-8."""


class _Unit:
    """Distribution of z² - 1 of a unit of `points` points."""

    def __init__(self, points: int) -> None:
        sigma = float(binomial.standard_deviation(points))
        step = max(1, int(sigma / STEPS))
        mean, reach = points * binomial.P, MAX_DEVIATION * sigma
        hits = np.arange(max(0, math.ceil(mean - reach)), min(points, mean + reach) + 1, step)
        weights = binomial.probability(points, hits - mean)
        self.weights = weights / weights.sum()
        self.values = ((hits - mean) / sigma) ** 2 - 1

    def cumulants(self, tilt: float) -> Floats:
        """Return log(mean(exp(tilt * value))) and its first two derivatives, shape (3,).

        The values have mean 0; using that keeps the errors of many units from adding up at small tilts.
        """
        grown = np.expm1(tilt * self.values)
        total = 1 + self.weights @ (grown - tilt * self.values)
        first = (self.weights * self.values) @ grown / total
        second = (self.weights * self.values**2) @ (grown + 1) / total - first**2
        return np.array([np.log1p(self.weights @ (grown - tilt * self.values)), first, second])


def dispersion(units: Mapping[int, int], excess: float) -> Dispersion:
    """Return the probabilities of a chi-squared that exceeds the number of units by `excess`.

    `units` maps points to the number of units of that size. Source: Daniels, "Tail Probability
    Approximations" (1987). In the distribution tilted by exp(tilt * chi-squared), with the tilt that makes
    this chi-squared the mean, both probabilities follow from the cumulants.
    """
    kinds = [(_Unit(points), float(number)) for points, number in units.items()]

    def cumulants(tilt: float) -> Floats:
        return sum((number * unit.cumulants(tilt) for unit, number in kinds), np.zeros(3))

    tilt = _solve(cumulants, excess)
    logarithm, _, variance = cumulants(tilt).tolist()
    rate = max(tilt * excess - logarithm, 0.0)
    bound = math.exp(-rate)
    third = sum(number * float(unit.weights @ unit.values**3) for unit, number in kinds)
    skewness = math.copysign(third, excess) / float(cumulants(0)[2]) ** 1.5
    tail = _lugannani_rice(math.sqrt(2 * rate), abs(tilt) * math.sqrt(max(variance, 0)), skewness)
    if not 0 < tail <= bound:  # with few units, whose chi-squared takes few values
        tail = bound
    return Dispersion(tail, 1 - tail, bound) if excess > 0 else Dispersion(1 - tail, tail, bound)


def _solve(cumulants: Callable[[float], Floats], mean: float) -> float:
    """Return the tilt that gives the distribution this mean, or the nearest limit, by Newton's method."""
    tilt, low, high = 0.0, MIN_TILT, MAX_TILT
    for _ in range(60):
        _, first, second = cumulants(tilt).tolist()
        low, high = (tilt, high) if first < mean else (low, tilt)
        newer = tilt + (mean - first) / second if second > 0 else low
        newer = newer if low < newer < high else (low + high) / 2
        if abs(newer - tilt) <= 1e-6 * abs(newer):  # then the error of `newer` is about its square
            break
        tilt = newer
    return newer


def _lugannani_rice(w: float, u: float, skewness: float) -> float:
    """Return a tail probability by formula (4.9) of Daniels; close to the mean, its limit."""
    density = math.exp(-w * w / 2) / math.sqrt(2 * math.pi)
    if w < 1e-3 or u == 0:
        return 0.5 - w * density - skewness * density / 6
    return math.erfc(w / math.sqrt(2)) / 2 + density * (1 / u - 1 / w)
