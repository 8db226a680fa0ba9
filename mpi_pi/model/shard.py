"""Shards of a job: the state that a checkpoint keeps, and the piece that a merge joins."""

from dataclasses import astuple, dataclass, field
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

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Shard:
    """Shard `index` (1 … `count`) of the `count` shards of a job, with what has been counted of it.

    `tally` covers the first units of the shard, without a gap.
    """

    job: Job
    index: int = 1
    count: int = 1
    tally: Tally = field(default_factory=Tally)
    usage: Usage = field(default_factory=Usage)

    @property
    def units(self) -> range:
        """All units of the shard, counted or not."""
        return self.job.shard(self.index, self.count)

    @property
    def remaining(self) -> range:
        """Units that are still to be counted."""
        units = self.units
        return range(units.start + self.tally.units, units.stop)

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
