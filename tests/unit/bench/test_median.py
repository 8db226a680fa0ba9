"""Medians and their intervals, against SciPy's binomial distribution."""

import json
import math
import random

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.bench import median as bench_median
from mpi_pi.bench.median import MedianCI
from mpi_pi.report.bench.numbers import format_ci

numbers = st.floats(-1e12, 1e12)
samples = st.lists(numbers, min_size=1, max_size=50)


def left_out(number: int) -> int:
    """The number of samples, of `number` different ones, outside of the interval at each end."""
    return int(MedianCI.of(range(number)).low)


@pytest.mark.parametrize("number", [*range(1, 60), 100, 499, 1000])
def test_interval_is_the_narrowest_that_holds_the_median_often_enough(number: int) -> None:
    # It misses the true median if so few samples are below it, or above.
    out = left_out(number)
    assert MedianCI.of(range(number)).high == number - 1 - out
    if number >= 6:
        assert 2 * scipy.stats.binom.cdf(out, number, 0.5) <= 1 - bench_median.CONFIDENCE
    else:
        assert out == 0
    assert 2 * scipy.stats.binom.cdf(out + 1, number, 0.5) > 1 - bench_median.CONFIDENCE


@pytest.mark.parametrize("number", [3, 7, 20])
def test_true_median_is_held_as_often_as_is_said(number: int) -> None:
    rng, repetitions, median = np.random.default_rng(2026), 2000, math.log(2)
    spreads = [MedianCI.of(rng.exponential(size=number)) for _ in range(repetitions)]
    held = sum(one.low <= median <= one.high for one in spreads)
    coverage = 1 - 2 * scipy.stats.binom.cdf(left_out(number), number, 0.5)
    least, most = scipy.stats.binom.interval(1 - 1e-6, repetitions, coverage)
    assert least <= held <= most


@given(samples)
def test_median_is_numpys_and_within_its_interval(taken: list[float]) -> None:
    found = MedianCI.of(taken)
    assert found.median == pytest.approx(float(np.median(taken)), rel=1e-12)
    assert min(taken) <= found.low <= found.median <= found.high <= max(taken)
    assert found.samples == tuple(taken)


@given(samples, st.randoms())
def test_order_of_the_samples_does_not_matter(taken: list[float], chance: random.Random) -> None:
    shuffled = list(taken)
    chance.shuffle(shuffled)
    one, other = MedianCI.of(taken), MedianCI.of(shuffled)
    assert (one.low, one.median, one.high) == (other.low, other.median, other.high)


def test_no_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="no median"):
        MedianCI.of([])


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), min_size=1, max_size=20))
def test_ratios_are_taken_turn_by_turn(turns: list[tuple[float, float]]) -> None:
    above, below = zip(*turns, strict=True)
    assert MedianCI.of_ratio(above, below).samples == tuple(np.divide(above, below).tolist())


def test_noise_of_a_turn_cancels_out_of_a_ratio() -> None:
    noise = np.random.default_rng(1).lognormal(0, 1, 9)
    slow, fast = tuple(3 * noise), tuple(noise)
    assert MedianCI.of(slow).inconclusive
    assert MedianCI.of(fast).inconclusive
    assert format_ci(MedianCI.of_ratio(slow, fast)) == "3 (3 … 3)"


def test_turns_that_have_no_partner_are_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        MedianCI.of_ratio([1, 2, 3], [1, 2])


@given(samples)
def test_median_is_read_as_it_was_written(taken: list[float]) -> None:
    one = MedianCI.of(taken)
    assert MedianCI.from_fields(json.loads(json.dumps(one.as_fields()))) == one


@pytest.mark.parametrize(
    "fields", [{}, {"median": 1, "low": 1, "high": 1}, {"median": "x", "low": 1, "high": 1, "samples": []}]
)
def test_json_that_is_no_median_is_an_error(fields: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        MedianCI.from_fields(fields)


@pytest.mark.parametrize(
    ("low", "high", "drowned"),
    [(1, 1, False), (1, 1.5, False), (1, 1.51, True), (0, 1, True), (-1, 1, True), (1e-9, 1.4e-9, False)],
)
def test_inconclusive_median_has_no_number(low: float, high: float, drowned: bool) -> None:
    one = MedianCI((low + high) / 2, low, high, (low, high))
    assert one.inconclusive == drowned
    assert format_ci(one).startswith("lost in noise (") == drowned


def test_formatted_numbers_are_scaled() -> None:
    one = MedianCI.of([0.00401, 0.004123, 0.0043])
    assert format_ci(one, ".2f", 1000) == "4.12 (4.01 … 4.30)"
    assert format_ci(one) == "0.00412 (0.00401 … 0.0043)"
    assert format_ci(MedianCI.of([1.0, 9.0]), ".1f") == "lost in noise (1.0 … 9.0)"
