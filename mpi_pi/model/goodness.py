"""Goodness of fit of the units' hits, in 16 bins of about equal probability under the binomial distribution.

This finds what mean and dispersion cannot, such as a generator with so few seeds that trials repeat.
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
"""Quantiles 8/16 … 15/16 of the normal distribution, in 1024ths of a standard deviation."""

MIN_EXPECTED = 50
"""Expected units in the least likely bin, for a judgement. Then a correct run has a p-value below 5e-8 with
at most 1.5 times that probability for units of 1000 points or more, 3.6 times for units of 2 points, the
worst."""

MAX_DEVIATION = 12.0
"""Limit of sums over hits, in standard deviations: the probability beyond is below 1e-20."""


class Fit(NamedTuple):
    """Counts in bins compared with their expectation."""

    units: int
    bins: int
    """Bins that are possible; there is one degree of freedom less."""
    chi_squared: float
    p_value: float
    """Probability of a larger chi-squared."""


@functools.cache
def edges(points: int) -> tuple[int, ...]:
    """Return the least hits of bins 1 … 15 for units of `points` points; bin 0 is below.

    Integer arithmetic alone puts a unit into one bin on every machine. With few points, edges coincide, and
    the bins between them are empty.
    """
    p, one = binomial.FRACTION
    sigma = math.isqrt((points * p * (one - p) << 20) // one**2)  # in 1024ths
    quantiles = [-z for z in _QUANTILES[:0:-1]] + list(_QUANTILES)
    middle = binomial.centre(points) + 1
    return tuple(middle + (z * sigma >> 20) for z in quantiles)


def counts(points: int, hits: NDArray[np.int64]) -> list[int]:
    """Return how many units are in each bin, given the hits of units of `points` points."""
    small = hits.astype(np.int32)  # twice as many in an instruction
    at_least = [len(hits), *(int(np.count_nonzero(small >= edge)) for edge in edges(points)), 0]
    return [at_least[k] - at_least[k + 1] for k in range(BINS)]


def probabilities(points: int) -> Floats:
    """Return the probability of each bin, shape (16,), 0 for an empty one; relative error below 1e-9.

    With 1e15 units that error adds 1e-3 to chi-squared.
    """
    reach = math.ceil(MAX_DEVIATION * float(binomial.standard_deviation(points)))
    middle = binomial.centre(points)
    hits = np.arange(max(0, middle - reach), min(points, middle + reach) + 1)
    chances = binomial.probability(points, hits - points * binomial.P)
    bins = np.searchsorted(edges(points), hits, side="right")
    return np.asarray(np.bincount(bins, chances, BINS), np.float64)


def fit(points: int, bins: Sequence[int]) -> Fit | None:
    """Compare the counts of units of `points` points with their expectation; None for too few units."""
    units = sum(bins)
    if units < 2 * MIN_EXPECTED:
        return None
    chances = probabilities(points)
    possible = chances > 0
    expected = chances[possible] * units
    if expected.min() < MIN_EXPECTED:
        return None
    excess = np.array(bins, np.float64)[possible] - expected
    chi_squared, freedom = float((excess**2 / expected).sum()), len(expected) - 1
    return Fit(units, len(expected), chi_squared, chi_squared_tail(chi_squared, freedom))


def chi_squared_tail(x: float, freedom: int) -> float:
    """Return the probability that chi-squared with `freedom` >= 1 degrees of freedom exceeds x >= 0.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.4.4 and 26.4.5, finite sums.
    """
    if x <= 0:
        return 1.0
    start = freedom % 2
    total = math.erfc(math.sqrt(x / 2)) if start else 0.0
    for k in range(start, freedom, 2):
        total += math.exp(k / 2 * math.log(x / 2) - x / 2 - math.lgamma(k / 2 + 1))
    return min(total, 1.0)
