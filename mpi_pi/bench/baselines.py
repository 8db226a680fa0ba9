"""Baselines: code that people write to count the points in a circle, on one core.

All of them throw points with floating-point coordinates from 0 to 1 at a quarter of the disc, and return the
hits. Their points belong to no trial, so their hits depend on who counts.
"""

import random
from collections.abc import Callable

import numpy as np


def plain_python(points: int, seed: int) -> int:
    """Count a trial of the dartboard lesson for the OctaPi (Crown Copyright 2017), which dispy runs."""
    generator = random.Random(seed)  # noqa: S311  # darts are no secrets
    hits = 0
    for _ in range(points):
        x, y = generator.uniform(0.0, 1.0), generator.uniform(0.0, 1.0)
        if x * x + y * y <= 1.0:
            hits += 1
    return hits


def numpy_rand(points: int) -> int:
    """Count a task of Flame's Python example, `examples/pi/python` in xflops/flame."""
    x, y = np.random.rand(points), np.random.rand(points)  # noqa: NPY002  # as it stands there
    return int(np.sum(x * x + y * y <= 1.0))


def has_numba() -> bool:
    """Return whether numba, which the other two need, is installed and allowed to compile."""
    try:
        import numba  # optional, and slow to import; so it is in the functions below
    except Exception:  # whatever a package raises that is broken
        return False
    return not numba.config.DISABLE_JIT


def numba_np_random() -> Callable[[int], int]:
    """Return a function of the points, `monte_carlo_pi` of numba's home page: NumPy's legacy generator."""
    import numba

    @numba.njit
    def count(points):  # type: ignore[no-untyped-def]  # numba infers
        hits = 0
        for _ in range(points):
            x, y = np.random.random(), np.random.random()  # noqa: NPY002  # what people write
            if x * x + y * y < 1.0:
                hits += 1
        return hits

    return lambda points: int(count(points))


def numba_generator(generator: np.random.Generator) -> Callable[[int], int]:
    """Return a function of the points with a generator of `default_rng`, as NumPy's manual advises."""
    import numba

    @numba.njit
    def count(generator, points):  # type: ignore[no-untyped-def]  # numba infers
        hits = 0
        for _ in range(points):
            x, y = generator.random(), generator.random()
            if x * x + y * y < 1.0:
                hits += 1
        return hits

    return lambda points: int(count(generator, points))
