"""The exact distribution of chi-squared, by Fourier transform."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

P = np.pi / 4
FINEST = 128
"""Steps of the exact distribution in a unit of chi-squared."""
LENGTH = 1 << 15


def exact(points: int, up: bool) -> NDArray[np.complex128]:
    """Return the Fourier transform of the distribution of z² of one unit, rounded up or down to steps.

    Its n-th power is that of n units.
    """
    hits = np.arange(points + 1)
    values = (hits - points * P) ** 2 / (points * P * (1 - P)) * FINEST
    steps = (np.ceil(values) if up else np.floor(values)).astype(np.int64)
    near = steps < LENGTH  # what is not near is never seen
    spectrum: NDArray[np.complex128] = np.fft.rfft(
        np.bincount(steps[near], stats.binom.pmf(hits[near], points, P), LENGTH)
    )
    return spectrum


def chances(spectrum: NDArray[np.complex128], units: int) -> NDArray[np.float64]:
    """Return the probability of each step of chi-squared of so many units, to 1e-14."""
    return np.asarray(np.fft.irfft(spectrum**units, LENGTH))
