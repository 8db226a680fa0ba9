"""The binomial distribution of hits, accurate in its far tails and for any number of points.

Each point is a hit with probability `P` = pi / 4, independently. Functions take floats or arrays of them:
`points` up to 1e30, and `excess` = hits - points * P, since floats that large would have lost the last digits
of the hits themselves.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

P = math.pi / 4
Q = 1 - P

FRACTION = 355, 452
"""P to 7e-8 as numerator and denominator, for integer arithmetic: the same results on every machine."""

Floats = NDArray[np.float64]

_SERIES_FROM = 16
_STIRLING_REMAINDER = np.array(
    [math.lgamma(n + 1) - (n * math.log(n) if n else 0) + n for n in range(_SERIES_FROM)]
)


def centre(points: int) -> int:
    """Return the integer next to points * P by `FRACTION`, which puts it off by 6 for the largest unit."""
    numerator, denominator = FRACTION
    return points * numerator // denominator


def standard_deviation(points: ArrayLike) -> Floats:
    """Return the standard deviation of the hits."""
    return np.sqrt(np.asarray(points, np.float64) * (P * Q))


def standard_errors(points: ArrayLike, hits: ArrayLike) -> Floats:
    """Return the signed deviation of hits from their mean, in standard deviations; 0 for no points.

    Rounding adds less than 0.001 for up to 1e26 points.
    """
    points, hits = np.asarray(points, np.float64), np.asarray(hits, np.float64)
    return (hits - points * P) / standard_deviation(np.maximum(points, 1))


def probability(points: ArrayLike, excess: ArrayLike) -> Floats:
    """Return the probability of exactly these hits; relative error below 1e-9 up to 12 standard deviations.

    This is the saddle-point form of Loader, "Fast and Accurate Computation of Binomial Probabilities" (2000),
    in which the large terms of the logarithm cancel in closed form.
    """
    points, excess = np.asarray(points, np.float64), np.asarray(excess, np.float64)
    hits = np.rint(points * P + excess)
    scale = _stirling_remainder(points) - _stirling_remainder(hits) - _stirling_remainder(points - hits)
    deviance = points * (P * _deviance(excess / (points * P)) + Q * _deviance(-excess / (points * Q)))
    return np.exp(scale - deviance)


def tail(points: ArrayLike, excess: ArrayLike) -> Floats:
    """Return an upper bound of the probability of a deviation at least as large, with the same sign.

    For many points the bound is 4 % above the probability at 5 standard deviations, and closer farther out.
    Source: Feller, "An Introduction to Probability Theory", volume 1, VI (3.4): P(hits >= k) is at most
    P(hits = k) * k * Q / (k - points * P), and correspondingly for misses.
    """
    points, excess = np.maximum(np.asarray(points, np.float64), 1), np.asarray(excess, np.float64)
    above = excess > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        counted = points * np.where(above, P, Q) + np.abs(excess)
        bound = probability(points, excess) * counted * np.where(above, Q, P) / np.abs(excess)
    return np.where(excess == 0, 1.0, np.fmin(bound, 1.0))


def _stirling_remainder(n: Floats) -> Floats:
    """Return log(n!) - n log(n) + n for integers n >= 0, from a table or Stirling's series."""
    m = np.maximum(n, _SERIES_FROM)
    square = 1 / (m * m)
    series = 0.5 * np.log(2 * np.pi * m) + (1 / 12 - (1 / 360 - square / 1260) * square) / m
    table = _STIRLING_REMAINDER[np.clip(n, 0, _SERIES_FROM - 1).astype(np.intp)]
    return np.where(n < _SERIES_FROM, table, series)


def _deviance(x: Floats) -> Floats:
    """Return (1 + x) log(1 + x) - x for x >= -1, near 0 from its power series, to avoid cancellation."""
    x = np.maximum(x, -1)
    small = np.clip(x, -0.01, 0.01)
    series = np.zeros_like(x)
    for k in range(8, 1, -1):
        series = (series + (-1) ** k / (k * (k - 1))) * small
    direct = (1 + x) * np.log1p(np.maximum(x, -1 + 2**-53)) - x
    return np.where(np.abs(x) < 0.01, series * small, direct)
