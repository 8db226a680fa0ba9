"""Tails of chi-squared against the exact distribution, and against its limit for many points."""

import numpy as np
import pytest
from scipy import stats

from mpi_pi.model.dispersion import Dispersion, dispersion
from support.exact_dispersion import FINEST, P, chances, exact


def judged(units: int, points: int, chi_squared: float) -> Dispersion:
    return dispersion({points: units}, chi_squared - units)


def more_than(points: int, units: int, chi_squared: float) -> float:
    """Return at least the probability of a chi-squared as large, or larger."""
    each = chances(exact(points, up=True), units)
    return float(each[int(np.floor(chi_squared * FINEST)) :].sum())


def less_than(points: int, units: int, chi_squared: float) -> float:
    each = chances(exact(points, up=False), units)
    return float(each[: int(np.floor(chi_squared * FINEST)) + 1].sum())


@pytest.mark.parametrize("units", [10, 1000, 10**6, 10**12, 1 << 80])
@pytest.mark.parametrize("p", [1e-8, 1e-3, 0.4, 0.6, 0.999, 1 - 1e-8])
def test_of_many_points_it_is_the_chi_squared_distribution(units: int, p: float) -> None:
    if units > 10**9:  # where SciPy's gives up, it is normal
        excess = float(stats.norm.isf(p)) * float(2 * units) ** 0.5
    else:
        excess = float(stats.chi2.isf(p, units)) - units
    found = dispersion({1 << 26: units}, excess)
    few = 0.01 if units == 10 else 1e-3
    assert found.p_value == pytest.approx(p, rel=few)
    assert found.lower_p_value == pytest.approx(1 - p, rel=few if p < 0.9 else 5 * few)
    assert min(found.p_value, found.lower_p_value) <= found.bound < 60 * min(p, 1 - p)


@pytest.mark.parametrize(("units", "points"), [(64, 2000), (30, 400), (64, 50)])
@pytest.mark.parametrize("p", [1e-7, 1e-4, 0.3])
def test_chances_are_those_of_the_exact_distribution(units: int, points: int, p: float) -> None:
    for chi_squared in (stats.chi2.isf(p, units), stats.chi2.ppf(p, units)):
        found = judged(units, points, chi_squared)
        assert found.p_value == pytest.approx(more_than(points, units, chi_squared), rel=0.3)
        assert found.lower_p_value == pytest.approx(less_than(points, units, chi_squared), rel=0.3)


@pytest.mark.parametrize("points", [1, 2, 7, 14, 100, 2000])
@pytest.mark.parametrize("units", [2, 3, 5, 20, 64])
def test_bounds_hold_for_few_units_of_few_points(units: int, points: int) -> None:
    up, down = exact(points, up=True), exact(points, up=False)
    least, most = chances(down, units), chances(up, units)  # chi-squared is rather smaller, or larger
    for step in np.flatnonzero(most > 1e-12)[::61].tolist():
        found = judged(units, points, step / FINEST)
        if step > units * FINEST:
            assert found.bound * (1 + 1e-6) >= least[step + 1 :].sum()
        else:
            assert found.bound * (1 + 1e-6) >= most[:step].sum()
        assert 0 <= found.p_value <= 1
        assert found.p_value + found.lower_p_value == pytest.approx(1)


def test_best_possible_answer_of_few_units_is_not_judged_unlikely() -> None:
    """Three units of 14 points come nearest to pi with 11 hits each."""
    hit = stats.binom.pmf(11, 14, P)
    chi_squared = 3 * (11 - 14 * P) ** 2 / (14 * P * (1 - P))
    assert judged(3, 14, chi_squared).bound == pytest.approx(hit**3, rel=1e-3)


def test_dispersion_of_units_of_two_sizes_adds_up() -> None:
    found = dispersion({1 << 26: 300, 1000: 300}, 100.0)
    assert found.p_value == pytest.approx(stats.chi2.sf(700, 600), rel=1e-2)
