"""Exact integer sums over the units counted so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model import goodness
from mpi_pi.model.binomial import centre
from mpi_pi.model.job import Job


class Sums(NamedTuple):
    """Sums over units of one size, in points."""

    units: int = 0
    hits: int = 0
    squares: int = 0
    """Sum of (hits - centre)², see `binomial.centre`; any fixed integer near the mean keeps it small."""
    bins: tuple[int, ...] = ()
    """Units in each bin of `goodness`. Empty for the shorter last blocks of trials, at most half of all
    units; incomplete after a checkpoint of an old version, which had no bins."""


@dataclass(frozen=True)
class Tally:
    """Sums over any set of units, by unit size in points. `sum(tallies, Tally())` adds."""

    by_size: Mapping[int, Sums] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job, units: range, hits: NDArray[np.int64]) -> Self:
        """Return the tally of a contiguous range of units, given the hits of each, shape (units,).

        It is exact for up to 2^37 points: no sum of squares reaches points * BLOCK <= 2^63. The load balancer
        assigns no more at once.
        """
        main = job.unit_points(0)
        if job.blocks == 1 or job.last_block == main:
            return cls({main: _sums(main, hits, binned=True)} if hits.size else {})
        is_last = (units.start % job.blocks + np.arange(len(units))) % job.blocks == job.blocks - 1
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
        """Points counted."""
        return sum(points * sums.units for points, sums in self.by_size.items())

    @property
    def hits(self) -> int:
        """Hits among the points."""
        return sum(sums.hits for sums in self.by_size.values())

    def __add__(self, other: "Tally") -> "Tally":
        by_size = dict(self.by_size)
        for points, sums in other.by_size.items():
            by_size[points] = _added(by_size.get(points, Sums()), sums)
        return Tally(by_size)

    def __sub__(self, part: "Tally") -> "Tally":
        """Return the tally of the units without those of `part`, which are among them."""
        rest = {
            points: _less(sums, part.by_size[points]) if points in part.by_size else sums
            for points, sums in self.by_size.items()
        }
        return Tally({points: sums for points, sums in rest.items() if sums.units})


def _sums(points: int, hits: NDArray[np.int64], binned: bool) -> Sums:
    excess = hits - centre(points)
    bins = goodness.counts(points, hits) if binned else ()
    return Sums(len(hits), int(hits.sum()), int(excess @ excess), tuple(bins))


def _added(a: Sums, b: Sums) -> Sums:
    both = a.bins and b.bins
    bins = tuple(x + y for x, y in zip(a.bins, b.bins, strict=True)) if both else a.bins or b.bins
    return Sums(a.units + b.units, a.hits + b.hits, a.squares + b.squares, bins)


def _less(a: Sums, b: Sums) -> Sums:
    bins = tuple(x - y for x, y in zip(a.bins, b.bins, strict=True)) if a.bins and b.bins else a.bins
    return Sums(a.units - b.units, a.hits - b.hits, a.squares - b.squares, bins)
