"""The binomial distribution against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from mpi_pi.model import binomial

P = np.pi / 4


def around(points: int, deviations: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return at most 401 numbers of hits, up to so many standard deviations from the mean."""
    middle, spread = points * P, deviations * stats.binom.std(points, P)
    return np.unique(np.linspace(middle - spread, middle + spread, 401).clip(0, points).round())


@pytest.mark.parametrize("points", [1, 2, 15, 16, 17, 100, 10**4, 1 << 26, 10**13])
def test_probabilities_are_scipys(points: int) -> None:
    hits = around(points, 12)
    expected = stats.binom.pmf(hits, points, P)
    rel = 1e-9 if points < 10**9 else 1e-6  # where SciPy's own lose digits
    assert binomial.probability(points, hits - points * P) == pytest.approx(expected, rel=rel, abs=0)
    assert binomial.standard_deviation(points) == pytest.approx(stats.binom.std(points, P))


@pytest.mark.parametrize("points", [*range(1, 130), 1000, 10**5, 10**8])
def test_tails_are_never_too_small_and_hardly_too_large(points: int) -> None:
    hits = around(points, 12)
    off = hits - points * P
    exact = np.where(off > 0, stats.binom.sf(hits - 1, points, P), stats.binom.cdf(hits, points, P))
    ratio = binomial.tail(points, off) / exact
    assert (ratio > 1 - 1e-9).all()
    assert (ratio[np.abs(off) > 5 * stats.binom.std(points, P)] < 1.05).all()


def test_tails_of_more_points_than_floats_can_count() -> None:
    errors = np.array([-30, -6, -5, 5, 6, 30.0])
    off = errors * np.sqrt(1e30 * P * (1 - P))
    ratio = binomial.tail(1e30, off) / stats.norm.sf(np.abs(errors))
    assert (ratio > 1).all()
    assert (ratio < 1.05).all()


def test_no_points_are_zero_standard_errors_off() -> None:
    assert binomial.tail(np.array([0, 4]), np.array([0.0, 0.0])).tolist() == [1, 1]
    assert binomial.standard_errors(np.array([0, 10**6]), np.array([0, 785398])).tolist() == pytest.approx(
        [0, 0], abs=1e-2
    )
