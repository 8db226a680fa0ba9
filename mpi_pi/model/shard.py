"""Shards of a job: the state that a checkpoint keeps, and the piece that a merge joins."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, replace
from typing import Self

from mpi_pi.model.job import Job
from mpi_pi.model.tally import Tally


@dataclass(frozen=True)
class Usage:
    """Resources that one or more runs have used; `+` adds them up."""

    runs: int = 0
    rounds: int = 0
    real_seconds: float = 0.0
    """Wall time from the start of rank 0's process."""
    round_seconds: float = 0.0
    """Wall time from the start of the first round to the end of the last."""
    core_seconds: float = 0.0
    """Counting time, summed over all threads of all ranks."""
    user_seconds: float = 0.0
    """CPU time in user mode, summed over all ranks."""
    system_seconds: float = 0.0
    """CPU time in the kernel, summed over all ranks."""
    recounted_units: int = 0
    """Units that a second rank has counted as well."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Shard:
    """Shard `index` (1 … `count`) of the `count` shards of a job, with what has been counted of it.

    `tally` covers the first units of the shard, but for `gaps`.
    """

    job: Job
    index: int = 1
    count: int = 1
    tally: Tally = field(default_factory=Tally)
    usage: Usage = field(default_factory=Usage)
    gaps: tuple[range, ...] = ()
    """Units, in ascending ranges that do not touch, before the last one counted, which are to be counted
    again: a rank had counted them that is known to count wrongly."""
    proven: Tally = field(default_factory=Tally)
    """Tally of the first units, before any gap, of which each was counted by two ranks with equal hits."""

    @property
    def units(self) -> range:
        """All units of the shard, counted or not."""
        return self.job.shard(self.index, self.count)

    @property
    def proven_units(self) -> range:
        """The units of `proven`."""
        start = self.units.start
        return range(start, start + self.proven.units)

    @property
    def counted_to(self) -> int:
        """First unit after the last one counted."""
        return self.units.start + self.tally.units + sum(gap.stop - gap.start for gap in self.gaps)

    @property
    def unproven(self) -> tuple[range, ...]:
        """Units that are counted, but not proven, in ascending ranges."""
        return between(range(self.proven_units.stop, self.counted_to), self.gaps)

    @property
    def remaining(self) -> tuple[range, ...]:
        """Units that are still to be counted, in ascending ranges; empty if there are none."""
        tail = range(self.counted_to, self.units.stop)
        return (*self.gaps, tail) if tail else self.gaps

    def after(self, counted: Tally, proven: bool) -> Self:
        """Return the shard after the next units have been counted, all of them in the first remaining range.

        `proven` tells that two ranks have counted each of them.
        """
        first, gaps = self.remaining[0], self.gaps
        if gaps:
            rest = range(first.start + counted.units, first.stop)
            gaps = (rest, *gaps[1:]) if rest else gaps[1:]
        proves = proven and first.start == self.proven_units.stop
        return replace(
            self,
            tally=self.tally + counted,
            gaps=gaps,
            proven=self.proven + counted if proves else self.proven,
        )

    def without(self, ranges: Iterable[range], tally: Tally) -> Self:
        """Return the shard without units that were counted but not proven, whose tally is `tally`."""
        remaining = joined([*self.remaining, *ranges])
        has_tail = bool(remaining) and remaining[-1].stop == self.units.stop
        return replace(self, tally=self.tally - tally, gaps=remaining[:-1] if has_tail else remaining)

    @property
    def only_proven(self) -> Self:
        """The shard without all units that were not counted by two ranks."""
        return replace(self, tally=self.proven, gaps=())

    @property
    def points(self) -> int:
        """Points of all units of the shard."""
        return self.job.points_in(self.units)

    @property
    def complete(self) -> bool:
        """True if all units have been counted."""
        return not self.remaining

    def differences(self, other: Self) -> str:
        """Return how the job or the number of another shard differs, for the user; "" if they are equal."""
        names = ("trials", "points per trial", "seed", "shard")
        ours, theirs = ((*astuple(of.job), f"{of.index}/{of.count}") for of in (self, other))
        rows = zip(names, ours, theirs, strict=True)
        return ", ".join(f"{name} {their}, not {our}" for name, our, their in rows if our != their)


def joined(ranges: Iterable[range]) -> tuple[range, ...]:
    """Return the same numbers in ascending ranges that neither overlap nor touch, without empty ones."""
    result: list[range] = []
    for each in sorted(filter(None, ranges), key=lambda one: one.start):
        if result and each.start <= result[-1].stop:
            result[-1] = range(result[-1].start, max(result[-1].stop, each.stop))
        else:
            result.append(each)
    return tuple(result)


def between(outer: range, ranges: Iterable[range]) -> tuple[range, ...]:
    """Return the numbers of `outer` that are not in `ranges`, which are ascending and within it."""
    starts = [outer.start]
    stops = []
    for each in ranges:
        stops.append(each.start)
        starts.append(each.stop)
    return tuple(range(*pair) for pair in zip(starts, [*stops, outer.stop], strict=True) if pair[0] < pair[1])
