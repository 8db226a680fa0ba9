"""Estimates against SciPy, fractions, and samples that are right or wrong by construction."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.model.binomial import centre
from mpi_pi.model.estimate import decimal_quotient, digits_in_common, estimate
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.model.tally import Sums, Tally
from mpi_pi.model.verdict import reasons

P = np.pi / 4


def tally_of(hits: "np.ndarray[tuple[int], np.dtype[np.int64]]", points: int) -> Tally:
    return Tally.of(Job(len(hits), points, 0), range(len(hits)), hits)


def test_estimate_of_published_hits_is_that_of_their_authors() -> None:
    assert decimal_quotient(4 * 78538813, 10**8) == "3.14155252"
    assert decimal_quotient(4 * 785388765, 10**9) == "3.14155506"


@given(st.integers(1, 10**30), st.data())
def test_quotients_are_correctly_rounded(points: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, points))
    text = decimal_quotient(4 * hits, points)
    decimals = len(text.partition(".")[2])
    assert abs(Fraction(text) - Fraction(4 * hits, points)) * 2 <= Fraction(1, 10 ** max(8, len(str(points))))
    assert decimals <= max(8, len(str(points)))
    assert text == "0" or not ("." in text and text.endswith("0"))


def test_halves_go_to_even() -> None:
    assert decimal_quotient(1, 2**9) == "0.00195312"  # 0.001953125
    assert decimal_quotient(3, 2**9) == "0.00585938"  # 0.005859375


def test_estimate_agrees_with_scipy() -> None:
    hits = np.random.default_rng(3).binomial(1000, P, 500).astype(np.int64)
    result = estimate(tally_of(hits, 1000))
    total = int(hits.sum())
    assert (result.hits, result.points, result.units) == (total, 500_000, 500)
    assert float(result.pi) == 4 * total / 500_000
    spread = scipy.stats.binom(500_000, P).std()
    assert result.standard_error == pytest.approx(4 * spread / 500_000)
    assert result.standard_errors == pytest.approx((total - 500_000 * P) / spread)
    chi_squared = ((hits - 1000 * P) ** 2 / (1000 * P * (1 - P))).sum()
    assert result.chi_squared == pytest.approx(chi_squared)
    assert result.p_value == pytest.approx(scipy.stats.chi2.sf(chi_squared, 500), rel=1e-3)
    assert result.p_value + result.lower_p_value == pytest.approx(1)
    tails = scipy.stats.binom.cdf(total, 500_000, P), scipy.stats.binom.sf(total - 1, 500_000, P)
    assert min(tails) <= result.distance_bound <= 1
    assert not reasons(result)


def test_units_of_two_sizes_are_each_held_to_their_own_expectation() -> None:
    job = Job(trials=40, points=BLOCK + 1000, seed=0)
    sizes = np.array([job.unit_points(unit) for unit in range(job.units)])
    hits = np.random.default_rng(4).binomial(sizes, P)
    result = estimate(Tally.of(job, range(job.units), hits))
    assert result.chi_squared == pytest.approx((((hits - sizes * P) ** 2) / (sizes * P * (1 - P))).sum())
    assert not reasons(result)


def test_octapi_lesson_answer_is_found_to_be_off() -> None:
    """The lesson printed 3.141651 from 10^10 points, 3.55 standard errors off."""
    hits = round(3.141651 * 10**10 / 4)
    result = estimate(Tally({10**4: Sums(10**6, hits, round(10**10 * P * (1 - P)))}))
    assert result.standard_errors == pytest.approx(3.55, abs=0.005)


def test_total_beyond_2_to_the_64_is_exact() -> None:
    units, surplus = 2**60, 12345
    n = units * BLOCK
    hits = units * centre(BLOCK) + surplus
    result = estimate(Tally({BLOCK: Sums(units, hits, round(n * P * (1 - P)))}))
    assert result.hits == hits
    assert abs(Fraction(result.pi) - Fraction(4 * hits, n)) <= Fraction(1, 10**26)


def test_digits_in_common_with_pi_are_counted() -> None:
    assert digits_in_common("3.14155252", "3.14159265") == 5
    assert digits_in_common("4", "3.14") == 0
    assert digits_in_common("3.14", "3.14159") == 3


def test_estimate_without_points_is_none() -> None:
    with pytest.raises(ValueError, match="no points"):
        estimate(Tally())
