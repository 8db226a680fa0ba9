"""Cutting a range of units into contiguous pieces.

Integers throughout, since units and points may be more than a float can tell apart.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.job import BLOCK, Job

MAX_UNITS = 1 << 16
"""Units counted by one call of a kernel at most: their hits are half a megabyte."""


def offsets(job: Job, units: range, weights: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where to cut `units` into a piece for each rank in proportion to its weight.

    `weights` has an integer >= 1 for each rank; the result, int64 (ranks + 1,), has the units before each
    piece, and all units. It is exact while neither the points of `units` nor all weights are more than 2^57.
    """
    before = np.zeros(len(weights) + 1, np.int64)
    np.cumsum(weights, out=before[1:])
    points, total = job.points_in(units), int(before[-1])
    # The quotient points * before // total, where the product takes more than 64 bits: what floats are off by
    # is small enough for the low 64 bits to tell.
    position = (points * (before / total)).astype(np.int64)
    position += (points * before - position * total) // total
    # From a position in the points to a unit, as in Job.nearest_unit, counted from the first unit's trial on.
    block = units.start % job.blocks
    trial, rest = np.divmod(position + block * BLOCK, job.points)
    place, rest = np.divmod(rest, BLOCK)
    unit_points = np.where(place == job.blocks - 1, job.last_block, BLOCK)
    nearest: NDArray[np.int64] = trial * job.blocks + place - block + (2 * rest >= unit_points)
    return nearest


def first_chunk(job: Job, units: range, points: int, min_units: int = 1) -> range:
    """Return the first piece of `units`, of about so many points, and of `min_units` at least."""
    stop = max(job.nearest_unit(job.points_before(units.start) + points), units.start + min_units)
    return range(units.start, min(stop, units.start + MAX_UNITS, units.stop))
