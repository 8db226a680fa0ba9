"""What has been counted so far, in integers that never round."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mpi_pi.job import Job


class Sums(NamedTuple):
    """Sums over units of one size: how many, their hits, the squares of what they are off the centre."""

    units: int = 0
    hits: int = 0
    squares: int = 0


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
        place_in_trial = (units.start % job.blocks + np.arange(len(units))) % job.blocks
        is_last = place_in_trial == job.blocks - 1
        by_size: dict[int, Sums] = {}
        for mask, points in ((is_last, job.last_block), (~is_last, job.unit_points(0))):
            if not mask.any():
                continue
            off = hits[mask] - centre(points)
            sums = Sums(int(mask.sum()), int(hits[mask].sum()), int(off @ off))
            by_size[points] = _added(by_size.get(points, Sums()), sums)
        return cls(by_size)

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
    """A tally of units of `job` as six integers, for one row of a message; `unpack` undoes it."""
    sizes = (job.unit_points(0), job.last_block)
    whole = tally.by_size.get(sizes[0], Sums())
    last = tally.by_size.get(sizes[1], Sums()) if sizes[0] != sizes[1] else Sums()
    return [*whole, *last]


def unpack(job: Job, numbers: Iterable[int]) -> Tally:
    """The tally that `pack` made, or a sum of several of them."""
    numbers = [int(number) for number in numbers]
    whole, last = Sums(*numbers[:3]), Sums(*numbers[3:])
    pairs = ((job.unit_points(0), whole), (job.last_block, last))
    return Tally({points: sums for points, sums in pairs if sums.units})


def _added(a: Sums, b: Sums) -> Sums:
    return Sums(*(x + y for x, y in zip(a, b, strict=True)))
