"""What has been counted so far, in integers that never round."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model import goodness
from mpi_pi.model.job import Job


class Sums(NamedTuple):
    """Sums over units of one size: how many, their hits, the squares of what they are off the centre."""

    units: int = 0
    hits: int = 0
    squares: int = 0
    bins: tuple[int, ...] = ()
    """How many of them are in each bin of `goodness`; empty for the shorter last blocks of trials, which are
    half of all units at the most, and fewer than the units where a checkpoint of long ago had none."""


COLUMNS = 3 + goodness.BINS + 3
"""Of a packed tally: the sums over units of the first block's size, with their bins, and over last blocks."""


def centre(points: int) -> int:
    """The integer next to points * pi / 4, about which the squares are taken to keep them small.

    Any fixed integer would do: 355/113 is pi to 3e-7, which is off by 6 for the largest unit.
    """
    return points * 355 // 452


@dataclass(frozen=True)
class Tally:
    """Sums over any set of units, kept apart by unit size (points). `sum(tallies, Tally())` adds."""

    by_size: Mapping[int, Sums] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job, units: range, hits: NDArray[np.int64]) -> Self:
        """The tally of a contiguous range of units, given the hits of each, int64.

        Exact for up to 2^37 points: no sum of squares reaches points * BLOCK <= 2^63. See `schedule`.
        """
        main = job.unit_points(0)
        if job.blocks == 1 or job.last_block == main:
            return cls({main: _sums(main, hits, binned=True)} if hits.size else {})
        place_in_trial = (units.start % job.blocks + np.arange(len(units))) % job.blocks
        is_last = place_in_trial == job.blocks - 1
        kinds = {
            job.last_block: _sums(job.last_block, hits[is_last], binned=False),
            main: _sums(main, hits[~is_last], binned=True),
        }
        return cls({points: sums for points, sums in kinds.items() if sums.units})

    @property
    def units(self) -> int:
        """Units counted."""
        return sum(sums.units for sums in self.by_size.values())

    @property
    def points(self) -> int:
        """Points in them."""
        return sum(points * sums.units for points, sums in self.by_size.items())

    @property
    def hits(self) -> int:
        """Hits among those."""
        return sum(sums.hits for sums in self.by_size.values())

    def __add__(self, other: "Tally") -> "Tally":
        by_size = dict(self.by_size)
        for points, sums in other.by_size.items():
            by_size[points] = _added(by_size.get(points, Sums()), sums)
        return Tally(by_size)


def pack(job: Job, tally: Tally) -> list[int]:
    """A tally of units of `job` as `COLUMNS` integers, for one row of a message; `unpack` undoes it."""
    sizes = (job.unit_points(0), job.last_block)
    whole = tally.by_size.get(sizes[0], Sums())
    last = tally.by_size.get(sizes[1], Sums()) if sizes[0] != sizes[1] else Sums()
    return [*whole[:3], *(whole.bins or (0,) * goodness.BINS), *last[:3]]


def packed_hits(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The hits of tallies that `pack` made, a row each: shape (rows, COLUMNS) in, (rows,) out."""
    whole, last = 1, COLUMNS - 2
    return rows[:, whole] + rows[:, last]


def unpack(job: Job, numbers: Iterable[int]) -> Tally:
    """The tally that `pack` made, or a sum of several of them."""
    units, hits, squares, *bins, last_units, last_hits, last_squares = map(int, numbers)
    whole = Sums(units, hits, squares, tuple(bins))
    last = Sums(last_units, last_hits, last_squares)
    pairs = ((job.unit_points(0), whole), (job.last_block, last))
    return Tally({points: sums for points, sums in pairs if sums.units})


def _sums(points: int, hits: NDArray[np.int64], binned: bool) -> Sums:
    """The sums over units of so many points, given the hits of each."""
    off = hits - centre(points)
    bins = goodness.counts(points, hits) if binned else ()
    return Sums(len(hits), int(hits.sum()), int(off @ off), tuple(bins))


def _added(a: Sums, b: Sums) -> Sums:
    bins = (
        tuple(x + y for x, y in zip(a.bins, b.bins, strict=True)) if a.bins and b.bins else a.bins or b.bins
    )
    return Sums(a.units + b.units, a.hits + b.hits, a.squares + b.squares, bins)
