"""A part of a job, and how far it has got: what checkpoints keep, and what shards are merged from."""

from dataclasses import astuple, dataclass, field
from typing import Self

from mpi_pi.model.job import Job
from mpi_pi.model.tally import Tally


@dataclass(frozen=True)
class Usage:
    """What runs have cost. Adds up."""

    runs: int = 0
    rounds: int = 0
    real_seconds: float = 0.0
    """Wall time from the start of rank 0's process."""
    round_seconds: float = 0.0
    """Wall time from the start of the first round to the end of the last."""
    core_seconds: float = 0.0
    """Counting, all threads of all ranks together."""
    user_seconds: float = 0.0
    """CPU time, all ranks together; likewise the next."""
    system_seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `of` of a job, and the tally of its first units, as many as have been counted."""

    job: Job
    index: int = 1
    count: int = 1
    tally: Tally = field(default_factory=Tally)
    usage: Usage = field(default_factory=Usage)

    @property
    def units(self) -> range:
        """All units of the part, counted or not."""
        return self.job.shard(self.index, self.count)

    @property
    def remaining(self) -> range:
        """The units that are still to be counted."""
        units = self.units
        return range(units.start + self.tally.units, units.stop)

    @property
    def points(self) -> int:
        """Points of all units of the part."""
        return self.job.points_in(self.units)

    @property
    def complete(self) -> bool:
        """Whether all of its units have been counted."""
        return not self.remaining

    def differences(self, other: Self) -> str:
        """What another part is of, where that is not the same; in words, empty if it is."""
        pairs = (
            ("trials", self.job.trials, other.job.trials),
            ("points per trial", self.job.points, other.job.points),
            ("seed", self.job.seed, other.job.seed),
            ("shard", f"{self.index}/{self.count}", f"{other.index}/{other.count}"),
        )
        return ", ".join(f"{name} {theirs}, not {ours}" for name, ours, theirs in pairs if ours != theirs)
