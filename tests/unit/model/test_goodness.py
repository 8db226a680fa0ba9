"""Bins of unit hits against SciPy's binomial distribution, small-sample p-values against exact ones."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from mpi_pi.model import goodness
from mpi_pi.model.job import BLOCK
from support.launching import soak

P = np.pi / 4
SIZES = [1, 2, 3, 14, 100, 250, 1000, 10**4, 10**6, BLOCK]


def test_edges_are_the_same_integers_everywhere() -> None:
    """The edges for 10,000 points are worked out by hand: 7854 + floor(z / 1024 * 41.0556)."""
    assert goodness.edges(10_000) == (
        *(7791, 7806, 7817, 7826, 7833, 7840, 7847, 7854),
        *(7860, 7867, 7874, 7881, 7890, 7901, 7916),
    )
    assert all(type(edge) is int for edge in goodness.edges(BLOCK))


@pytest.mark.parametrize("points", SIZES)
def test_probabilities_are_scipys(points: int) -> None:
    below = stats.binom.cdf(np.array(goodness.edges(points)) - 1, points, P)
    expected = np.diff([0, *below, 1])
    assert goodness.probabilities(points) == pytest.approx(expected, rel=1e-7, abs=1e-13)


@pytest.mark.parametrize("points", [1000, 10**5, BLOCK])
def test_bins_are_about_equally_likely(points: int) -> None:
    assert goodness.probabilities(points).min() > 0.7 / 16
    assert goodness.probabilities(points).max() < 1.5 / 16


@pytest.mark.parametrize("points", SIZES)
def test_counts_are_those_of_a_histogram(points: int) -> None:
    hits = np.random.default_rng(1).binomial(points, P, 1000).astype(np.int64)
    limits = [-np.inf, *goodness.edges(points), np.inf]
    expected = [int(((low <= hits) & (hits < high)).sum()) for low, high in itertools.pairwise(limits)]
    assert goodness.counts(points, hits) == expected


def test_chi_squared_of_bins_agrees_with_scipy() -> None:
    hits = np.random.default_rng(1).binomial(10_000, P, 5000).astype(np.int64)
    bins = goodness.counts(10_000, hits)
    found = goodness.fit(10_000, bins)
    expected = stats.chisquare(bins, goodness.probabilities(10_000) * 5000)
    assert found
    assert (found.units, found.bins) == (5000, 16)
    assert (found.chi_squared, found.p_value) == pytest.approx(expected)


def test_few_units_are_not_judged() -> None:
    least = goodness.probabilities(1000).min()
    enough = int(np.ceil(50 / least))
    even = np.rint(goodness.probabilities(1000) * enough).astype(int)
    even[0] += enough - even.sum()
    assert goodness.fit(1000, even.tolist())
    even[8] -= 2
    assert goodness.fit(1000, even.tolist()) is None
    assert goodness.fit(1000, [0] * 16) is None


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 15])
@pytest.mark.parametrize("p", [1e-12, 1e-8, 1e-3, 0.5, 0.999, 1 - 1e-7])
def test_chi_squared_tail_is_scipys(freedom: int, p: float) -> None:
    x = stats.chi2.isf(p, freedom)
    assert goodness.chi_squared_tail(x, freedom) == pytest.approx(p, rel=1e-9)


def exact_chance(bins: NDArray[np.float64], units: int, least: float, finest: int = 32) -> float:
    """Return at least the probability that chi-squared of a multinomial sample is `least` or larger.

    Counts of a multinomial distribution are those of independent Poisson ones whose sum is `units`. So the
    probability follows from a Fourier transform over the sum and over chi-squared, in steps rounded up.
    Damping keeps what is beyond the last step from coming in again at the first.
    """
    steps = int(least * finest) + 2
    length = 2 * steps + 2
    damping = 12 / steps
    frequencies = 2 * np.pi * np.arange(int(np.sqrt((least + 2) * units)) + 2)
    frequencies /= len(frequencies)
    product = np.exp(1j * frequencies * units)[:, None]
    for expected in units * bins:
        reach = np.sqrt((least + 2) * expected)
        counts = np.arange(max(0, np.ceil(expected - reach)), expected + reach)
        at = np.ceil((counts - expected) ** 2 / expected * finest).astype(int)
        weights = stats.poisson.pmf(counts, expected) * np.exp(-damping * at)
        cells = np.zeros((length, len(counts)))
        cells[at[at <= steps], np.flatnonzero(at <= steps)] = weights[at <= steps]
        product = product * np.fft.fft(cells @ np.exp(-1j * np.outer(counts, frequencies)), axis=0).T
    found = np.fft.ifft(product.mean(axis=0)).real * np.exp(damping * np.arange(length))
    return 1 - float(found[: int(np.ceil(least * finest))].sum()) / float(stats.poisson.pmf(units, units))


def excess_of_refusals(points: int) -> float:
    """Return the probability of a p-value below 5e-8 for the fewest units that are judged, over 5e-8."""
    bins = goodness.probabilities(points)
    bins = bins[bins > 0]
    units = int(np.ceil(goodness.MIN_EXPECTED / bins.min()))
    return exact_chance(bins, units, float(stats.chi2.isf(5e-8, len(bins) - 1))) / 5e-8


@pytest.mark.parametrize(("points", "most"), [(1, 2.5), (2, 4.0), (10_000, 1.7)])
def test_p_values_of_the_smallest_samples_are_nearly_right(points: int, most: float) -> None:
    """At most four times as many runs are refused as the limit says; `verdict` reckons with that."""
    assert 1 < excess_of_refusals(points) < most


@soak
@pytest.mark.parametrize(
    "points", [*range(1, 61), 100, 117, 200, 241, 500, 700, 1000, 2000, 5000, 10**5, BLOCK]
)
def test_p_values_of_all_small_samples_are_nearly_right(points: int) -> None:
    found = excess_of_refusals(points)
    print(f"{points} points: {found:.2f}")
    assert found < 4
