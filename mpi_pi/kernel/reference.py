"""The definition: the random points of a unit and their hits. Plain NumPy, written to be read.

The compiled kernel is tested against it, bit for bit; where numba has no wheel (32-bit Raspberry Pi OS), it
is the kernel.

**Blocks.** A trial of N points is cut into blocks of 2^26 points, numbered from 0; the last one has the
remaining 1 … 2^26 points. The number of points in a block does not change its stream, only how much of it is
used.

**Stream.** Block b of trial t draws from `SeedSequence(seed, spawn_key=(t, b))`, which is NumPy's own
`SeedSequence(seed).spawn(...)[t].spawn(...)[b]`. Its first 128 uint64 words are the states of 32 generators
side by side, the *lanes*: word 32 * i + l is state word i of lane l.

All streams of one seed differ, and so do those of all seeds below 2^128. SeedSequence concatenates the 32-bit
words of the seed, at least four, of the trial, one or two, and of the block, one. So a longer seed may have
streams in common with a shorter one: with s < 2^128 and t and w from 1 to 2^32 - 1, trial t of the seed
s + w * 2^128 is trial t * 2^32 + w of the seed s, block by block. To be independent of each other, jobs with
seeds of more than 128 bits should have at most 2^32 trials, and be compared with none that have more.

**Generator.** Every lane is a xoshiro256 (Blackman and Vigna, "Scrambled linear pseudorandom number
generators", ACM TOMS 47, 2021). A step makes two 64-bit words from one state, with the two scramblers that
the authors publish for that engine: `++` reads state words 0 and 3, `**` reads state word 1. Over the period
of the engine these three words are equidistributed, so the two results are independent of each other. Then
the state advances once.

**Points.** The word of `++` holds the high 16 bits of two points (x, y of the first point, then x, y of the
second, lowest bits first), signed; the word of `**` holds, in the same order, their low 16 bits, of which the
lowest is set to one. So a point has odd 32-bit coordinates X and Y, in a lattice symmetric about zero in the
square around a disc of radius 2^31, and hits if X^2 + Y^2 < 2^62: exact in 64-bit integers. A kernel may stop
at the high bits wherever they decide, as they do for all but about 1.35 points in 10,000 (see
`layout.MARGIN`).

Odd coordinates are the centres of the lattice's cells. Of its 2^62 points 3,622,009,729,038,569,828 are hits,
counted column by column: 8407 more than pi/4 of them, so the chance of a hit is pi/4 + 1.8e-15. The excess is
a tenth of the standard error of a run of 5e26 points.

**Order.** Points of a unit are numbered by step, then lane, then place in the word. A unit of N points takes
the first N.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mpi_pi.kernel.layout import LANES, POINTS_PER_STEP, STATE_WORDS
from mpi_pi.model.job import Job

UNITS_AT_ONCE = 64
"""Units advanced together: long arrays make up for the overhead of NumPy's calls."""


def unit_state(job: Job, unit: int) -> NDArray[np.uint64]:
    """Return the initial state of a unit, uint64 (4, 32): state word by lane."""
    sequence = np.random.SeedSequence(job.seed, spawn_key=job.trial_and_block(unit))
    words = np.asarray(sequence.generate_state(STATE_WORDS, np.uint64), np.uint64)
    return words.reshape(4, LANES)


def rotate_left(word: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Rotate each uint64 left by 1 … 63 bits."""
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


def high_bits(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the results of xoshiro256++ for states of shape (4, …)."""
    s0: NDArray[np.uint64] = state[0]
    return rotate_left(s0 + state[3], 23) + s0


def low_bits(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the results of xoshiro256** for states of shape (4, …)."""
    return rotate_left(state[1] * np.uint64(5), 7) * np.uint64(9)


def advance(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the next state of the xoshiro256 engine, shape (4, …)."""
    s0, s1, s2, s3 = state
    shifted = s1 << np.uint64(17)
    return np.stack([s0 ^ s3 ^ s1, s1 ^ s2 ^ s0, s2 ^ s0 ^ shifted, rotate_left(s3 ^ s1, 45)])


def coordinates(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return X and Y of each point, odd int64 (…, 64, 2) in the order of the definition, of words (…, 32)."""
    shape = (*high.shape[:-1], POINTS_PER_STEP, 2)
    coarse = high.astype("<u8").view("<i2").reshape(shape).astype(np.int64)
    fine = low.astype("<u8").view("<u2").reshape(shape).astype(np.int64) | 1
    return coarse * 65536 + fine


def in_disc(points: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each point hits, bool (…), by its coordinates (…, 2)."""
    squares: NDArray[np.int64] = points**2
    hits: NDArray[np.bool_] = squares[..., 0] + squares[..., 1] < 1 << 62
    return hits


def inside(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return whether each point hits, bool (…, 64) in the order of the definition, of words (…, 32)."""
    return in_disc(coordinates(high, low))


def first_points(job: Job, unit: int, number: int) -> NDArray[np.int64]:
    """Return X and Y of the first points of a unit, int64 (number, 2); it has at least `number` points."""
    state = unit_state(job, unit)
    steps = []
    for _ in range(-(-number // POINTS_PER_STEP)):
        steps.append(coordinates(high_bits(state), low_bits(state)))
        state = advance(state)
    return np.concatenate(steps)[:number] if steps else np.zeros((0, 2), np.int64)


def never() -> bool:
    """Return False: the stop condition of a count that runs to its end."""
    return False


def count(job: Job, units: range, stop: Callable[[], bool] = never) -> NDArray[np.int64]:
    """Return the hits of each unit, int64, in the order of `units`, a contiguous range.

    When `stop()` turns true the count ends at once, and the result holds the units finished by then.
    """
    hits: list[NDArray[np.int64]] = []
    for first in range(units.start, units.stop, UNITS_AT_ONCE):
        batch = range(first, min(first + UNITS_AT_ONCE, units.stop))
        counted = _count_side_by_side(job, batch, stop)
        if counted is None:
            break
        hits.append(counted)
    return np.concatenate(hits) if hits else np.zeros(0, np.int64)


def _count_side_by_side(job: Job, units: range, stop: Callable[[], bool]) -> NDArray[np.int64] | None:
    """Return the hits of each unit, advancing all of them together; None if stopped before the end."""
    points_left = np.array([job.unit_points(unit) for unit in units])
    state = np.stack([unit_state(job, unit) for unit in units], axis=1)
    place = np.arange(POINTS_PER_STEP)
    hits = np.zeros(len(units), np.int64)
    while points_left.max() > 0:
        if stop():
            return None
        wanted = place < points_left[:, np.newaxis]
        hits += (inside(high_bits(state), low_bits(state)) & wanted).sum(axis=1)
        state = advance(state)
        points_left -= POINTS_PER_STEP
    return hits
