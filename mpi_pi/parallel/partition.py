"""Cuts of a range of units into contiguous pieces, in integers: a float cannot tell large numbers apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.job import BLOCK, Job

MAX_UNITS = 1 << 16
"""Maximum of units counted by one call of a kernel: their hits are half a megabyte."""


def offsets(job: Job, units: range, weights: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where to cut `units` into a piece for each rank, with points in proportion to its weight.

    `weights` has an integer >= 0 for each rank, not 0 for all; the result, int64 (ranks + 1,), has the number
    of units before each piece, and that of all. It is exact if neither the points of `units` nor the sum of
    `weights` exceeds 2^57.
    """
    before = np.zeros(len(weights) + 1, np.int64)
    np.cumsum(weights, out=before[1:])
    points, total = job.points_in(units), int(before[-1])
    # The quotient points * before // total, though the product takes more than 64 bits: the error of the
    # floats is small enough for the low 64 bits to show.
    position = (points * (before / total)).astype(np.int64)
    position += (points * before - position * total) // total
    # Job.nearest_unit for arrays, with positions counted from the first unit's trial on.
    block = units.start % job.blocks
    trial, rest = np.divmod(position + block * BLOCK, job.points)
    place, rest = np.divmod(rest, BLOCK)
    unit_points = np.where(place == job.blocks - 1, job.last_block, BLOCK)
    nearest: NDArray[np.int64] = trial * job.blocks + place - block + (2 * rest >= unit_points)
    return nearest


def first_chunk(job: Job, units: range, points: int, min_units: int = 1) -> range:
    """Return the first piece of `units`, of about `points` points, and of at least `min_units` units."""
    stop = max(job.nearest_unit(job.points_before(units.start) + points), units.start + min_units)
    return range(units.start, min(stop, units.start + MAX_UNITS, units.stop))
