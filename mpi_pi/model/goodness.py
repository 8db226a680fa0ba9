"""Goodness of fit of the units' hits: 16 bins of about equal probability under the binomial distribution.

It finds what mean and dispersion cannot, such as a generator with so few seeds that trials repeat.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model import binomial
from mpi_pi.model.binomial import Floats

BINS = 16

_QUANTILES = (0, 161, 326, 500, 691, 908, 1178, 1571)
"""The normal distribution's of 8/16 … 15/16, in 1024ths of a standard deviation."""

MIN_EXPECTED = 50
"""Units expected in the least likely bin for a judgement. P-values below 5e-8 then come about by chance up to
1.5 times as often as that for units of 1000 points or more, and 3.6 times for units of 2, the worst."""

FARTHEST = 12.0
"""Standard deviations from the mean beyond which no unit ever is: the chance is below 1e-20."""


class Fit(NamedTuple):
    """The counts of the bins against their expectation."""

    units: int
    bins: int
    """Those in which a unit can be; one less is the number of degrees of freedom."""
    chi_squared: float
    p_value: float
    """The chance of a larger chi-squared."""


@functools.cache
def edges(points: int) -> tuple[int, ...]:
    """Return the least hits of bins 1 … 15 of units of so many points; bin 0 is below.

    Integer arithmetic alone, so that a unit is in the same bin on every machine. 355/452 is pi/4 to 7e-8.
    Where points are few, edges coincide, and bins between them are empty.
    """
    middle = points * 355 // 452 + 1
    sigma = math.isqrt(points * 355 * 97 * (1 << 20) // 452**2)  # in 1024ths
    quantiles = [-z for z in _QUANTILES[:0:-1]] + list(_QUANTILES)
    return tuple(middle + (z * sigma >> 20) for z in quantiles)


def counts(points: int, hits: NDArray[np.int64]) -> list[int]:
    """Return how many units are in each bin, given the hits of each, which have so many points."""
    small = hits.astype(np.int32)  # twice as many in an instruction
    at_least = [len(hits), *(int(np.count_nonzero(small >= edge)) for edge in edges(points)), 0]
    return [at_least[k] - at_least[k + 1] for k in range(BINS)]


def probabilities(points: int) -> Floats:
    """Return the probability of each bin, shape (16,), relative error below 1e-9; 0 for an empty one.

    So of 1e15 units what that is off would add 1e-3 to chi-squared.
    """
    reach = math.ceil(FARTHEST * float(binomial.deviation(points)))
    middle = points * 355 // 452
    hits = np.arange(max(0, middle - reach), min(points, middle + reach) + 1)
    chances = binomial.probability(points, hits - points * binomial.P)
    bins = np.searchsorted(edges(points), hits, side="right")
    return np.asarray(np.bincount(bins, chances, BINS), np.float64)


def fit(points: int, bins: Sequence[int]) -> Fit | None:
    """Judge the counts of the bins of units of so many points; None if there are too few units for that."""
    units = sum(bins)
    if units < 2 * MIN_EXPECTED:
        return None
    chances = probabilities(points)
    possible = chances > 0
    expected = chances[possible] * units
    if expected.min() < MIN_EXPECTED:
        return None
    off = np.array(bins, np.float64)[possible] - expected
    chi_squared, freedom = float((off**2 / expected).sum()), len(expected) - 1
    return Fit(units, len(expected), chi_squared, chi_squared_tail(chi_squared, freedom))


def chi_squared_tail(x: float, freedom: int) -> float:
    """Return the chance that chi-squared with `freedom` >= 1 degrees of freedom exceeds x >= 0.

    Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.4.4 and 26.4.5: finite sums.
    """
    if x <= 0:
        return 1.0
    start = freedom % 2
    total = math.erfc(math.sqrt(x / 2)) if start else 0.0
    for k in range(start, freedom, 2):
        total += math.exp(k / 2 * math.log(x / 2) - x / 2 - math.lgamma(k / 2 + 1))
    return min(total, 1.0)
