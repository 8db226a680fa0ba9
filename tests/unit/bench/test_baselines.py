"""Baselines count as many hits as NumPy does from an equal stream, or as many as pi lets expect."""

import random
import sys
from collections.abc import Callable

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from mpi_pi.bench import baselines

POINTS = 100_000
CHANCE = 1e-9
"""That a right answer is taken for wrong."""


@pytest.fixture(scope="module")
def np_random() -> Callable[[int], int]:
    return baselines.numba_np_random()


def hits_of(points: NDArray[np.float64]) -> int:
    return int(((points**2).sum(axis=1) <= 1).sum())


def as_pi_lets_expect(hits: int) -> bool:
    low, high = stats.binom.ppf([CHANCE / 2, 1 - CHANCE / 2], POINTS, np.pi / 4)
    return bool(low <= hits <= high)


def test_plain_python_counts_as_numpy_does_with_its_stream() -> None:
    # Both have the Mersenne Twister, and make doubles of its words in the same way.
    stream = np.random.RandomState()
    seeded = random.Random(7).getstate()[1]
    state = {"key": np.array(seeded[:-1], np.uint32), "pos": seeded[-1]}
    stream.set_state({"bit_generator": "MT19937", "state": state})
    hits = baselines.plain_python(POINTS, 7)
    assert hits == hits_of(stream.random_sample((POINTS, 2)))
    assert as_pi_lets_expect(hits)


def test_numpy_rand_counts_all_of_its_points() -> None:
    np.random.seed(7)  # noqa: NPY002  # the generator that it uses
    hits = baselines.numpy_rand(POINTS)
    x, y = np.random.RandomState(7).random_sample((2, POINTS))
    assert hits == hits_of(np.stack([x, y], axis=1))
    assert as_pi_lets_expect(hits)


def test_numba_with_a_generator_counts_as_numpy_does_with_its_stream() -> None:
    hits = baselines.numba_generator(np.random.default_rng(7))(POINTS)
    assert hits == hits_of(np.random.default_rng(7).random((POINTS, 2)))
    assert as_pi_lets_expect(hits)


def test_numba_with_np_random_counts_as_pi_lets_expect(np_random: Callable[[int], int]) -> None:
    hits = [np_random(POINTS) for _ in range(3)]
    assert all(map(as_pi_lets_expect, hits))
    assert len(set(hits)) > 1  # 1 in 50,000 that by chance they are all the same


def test_baselines_of_numba_are_missing_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert baselines.has_numba()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert not baselines.has_numba()
    monkeypatch.setitem(sys.modules, "numba", None)
    assert not baselines.has_numba()
