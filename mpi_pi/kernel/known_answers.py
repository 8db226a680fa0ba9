"""Known answers: counts by the reference that a kernel has to repeat before it is trusted.

They are chosen so that damage to any bit of the compiled kernel changes one of them. So all of its parts take
part: the seeding of a stream, whole steps, single points, doubtful points (see `layout.MARGIN`), and the
second piece of a unit that is too long for one call. A test flips the bits of the machine code one by one.
The answers are literals, apart from the code under test; a test compares them with the reference.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from mpi_pi.kernel.layout import LANES, POINTS_PER_STEP
from mpi_pi.kernel.reference import rotate_left
from mpi_pi.model.job import BLOCK, Job


def _unit(number: int) -> range:
    return range(number, number + 1)


HITS_OF_UNITS: tuple[tuple[Job, range, tuple[int, ...]], ...] = (
    # More than 256 hits in each place of a step.
    (Job(1, 26_003, seed=0), range(1), (20312,)),
    # A seed beyond 128 bits, and trials on both sides of 2^32.
    (Job(1 << 33, 2001, seed=(1 << 130) + 7), range((1 << 32) - 1, (1 << 32) + 2), (1586, 1554, 1555)),
    # Trials and blocks that make each factor of the hash meet odd numbers: its highest bit counts for those.
    (
        Job(1 << 64, 1003, seed=12345),
        range((0xFE175330 << 32) - 2, (0xFE175330 << 32) + 2),
        (791, 774, 785, 782),
    ),
    (Job(1 << 64, 741 * BLOCK + 1500, seed=7), _unit(916_049_455), (1160,)),
    (Job(1 << 64, 0x1EF2A4F0 * BLOCK + 1293, seed=77777), _unit(2838794387850868053225545437), (1030,)),
    # No whole step.
    (Job(1000, 63, seed=5), range(8), (50, 55, 53, 50, 52, 48, 50, 56)),
    (Job(1000, 1, seed=99), range(24), tuple(map(int, "110101011111111110011101"))),
    # Found by trying random units, for flips of a bit that the others do not notice.
    (Job(1 << 60, 10_090, seed=305), _unit(212218158197553668), (7939,)),
    (Job(1 << 60, 6 * BLOCK + 13_187, seed=922), _unit(1844112262152766283), (10344,)),
    (Job(1 << 60, 1965505325 * BLOCK + 1, seed=15039594943221149912), _unit(1965505325), (1,)),
    (Job(1 << 60, 4, seed=92), _unit(1457572739), (3,)),
    (Job(1 << 60, 8, seed=18145269163777988318), _unit(1292421678), (6,)),
)
"""Job, units and the hits of each unit."""

HITS_FROM_STATES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    # Most points of the first step are doubtful; 63 points are no whole step and leave the state as it is.
    ((63, 33 * 64, 1000), (40, 1632, 777)),
    ((15, 64), (5, 29)),
    ((64,), (31,)),
    ((63, 64), (37, 37)),
    ((64,), (39,)),
    ((64,), (27,)),
)
"""For each of `edge_states`, the points of consecutive pieces of a unit and their hits."""


@functools.cache
def edge_states() -> NDArray[np.uint64]:
    """Return states, uint64 (6, 4, 32), whose next step has its points next to the circle.

    They are from 1 to 2^22 away from it, on either side and all around, so that most points are doubtful. In
    the second half of the states the low bits are all set, which puts the points in the farthest corners of
    their cells. The first two points are one with the least doubtful s and one with an s just below.
    Floating point is used for square roots alone, which are the same on all machines.
    """
    number = len(HITS_FROM_STATES)
    i = np.arange(number * POINTS_PER_STEP, dtype=np.int64)
    x = i * 0x9E3779B9 % (1 << 32) - (1 << 31)  # multiples of the golden ratio: spread as evenly as can be
    away = np.where(i // 23 % 2, 1, -1) << i % 23
    y = np.minimum(np.sqrt(2.0**62 - x * x).astype(np.int64) + away, (1 << 31) - 1)
    points = np.stack([x, np.where(i // 46 % 2, y, -y)], axis=-1) | 1
    points[len(points) // 2 :] |= 0xFFFF
    points[:2] = [(3638 << 16 | 1, 32564 << 16 | 1), (4210 << 16 | 1, 32495 << 16 | 1)]
    high, low = (
        half.astype(np.uint16).reshape(-1).view("<u8").astype(np.uint64) for half in (points >> 16, points)
    )
    return _state_before(high, low).reshape(4, number, LANES).swapaxes(0, 1)


def _state_before(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return states, uint64 (4, …), of which `reference.high_bits` and `low_bits` make these words."""
    s0 = high * np.uint64(0x9E3779B97F4A7C15)  # any state word would do here, and for s2
    s1 = rotate_left(low * np.uint64(pow(9, -1, 1 << 64)), 64 - 7) * np.uint64(pow(5, -1, 1 << 64))
    s3 = rotate_left(high - s0, 64 - 23) - s0
    return np.stack([s0, s1, s0 + s1, s3])
