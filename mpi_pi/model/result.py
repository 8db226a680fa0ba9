"""What a run has found out, about pi and about the machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model import binomial
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Tally

if TYPE_CHECKING:
    from mpi_pi.model.estimate import Estimate


@dataclass(frozen=True)
class ShardSummary:
    """What one of the shards that were merged has cost."""

    index: int
    ranks: int
    usage: Usage


class RankInfo(NamedTuple):
    """Who a rank is."""

    host: str
    cpu: str
    kernel: str
    kernel_target: str
    """The CPU that the kernel was compiled for; "" if it was not."""
    threads: int
    placement: str
    """How the ranks of its host sit on the cores, see `mpi_pi.system.affinity`."""


@dataclass(frozen=True)
class RankStats:
    """What one rank did in a run."""

    rank: int
    info: RankInfo
    kernel_source: str
    """"cache", "compiled", or "" for a kernel that is not compiled."""
    units: int
    points: int
    hits: int
    kernel_right: bool
    """Whether its kernel still counted the known answers after each round."""
    startup_seconds: float
    """From the start of the process until MPI was ready."""
    kernel_seconds: float
    """Importing numba, and compiling the kernel or loading it from the cache."""
    count_seconds: float
    wait_seconds: float
    """In the rounds, but not counting: waiting for other ranks, and exchanging results."""
    user_seconds: float
    system_seconds: float
    peak_memory_bytes: int

    @property
    def points_per_second(self) -> float:
        """While it was counting, all threads together; 0 for a rank that had nothing to count."""
        return self.points / self.count_seconds if self.count_seconds else 0.0

    @property
    def standard_errors(self) -> float:
        """What its hits are off their expectation, in standard deviations; 0 if it had nothing to count."""
        return float(binomial.standard_errors(self.points, self.hits))


@dataclass(frozen=True)
class RoundRecord:
    """What each rank did in some rounds that follow on each other; arrays are (ranks,)."""

    first_round: int
    last_round: int
    start_seconds: float
    """When rank 0 gave the orders for it, since it gave the very first ones."""
    end_seconds: float
    """When it had the reports of all ranks."""
    hits: int
    units: NDArray[np.int64]
    points: NDArray[np.int64]
    count_nanoseconds: NDArray[np.int64]
    lost_units: NDArray[np.int64]
    """Counted, but beyond a gap that a rank has left in a round cut short: they will be counted again."""

    def __add__(self, later: "RoundRecord") -> "RoundRecord":
        return RoundRecord(
            self.first_round,
            later.last_round,
            self.start_seconds,
            later.end_seconds,
            self.hits + later.hits,
            self.units + later.units,
            self.points + later.points,
            self.count_nanoseconds + later.count_nanoseconds,
            self.lost_units + later.lost_units,
        )


@dataclass
class Timeline:
    """What each rank did in each round. In bounded memory: at the limit, neighbours become one row."""

    CELLS = 1 << 18

    records: list[RoundRecord] = field(default_factory=list)

    def append(self, row: RoundRecord) -> None:
        """Add the next round."""
        self.records.append(row)
        if len(self.records) >= 16 and len(self.records) * row.units.size > self.CELLS:
            pairs = [self.records[i : i + 2] for i in range(0, len(self.records), 2)]
            self.records = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]


@dataclass(frozen=True)
class Result:
    """The outcome of a run, on every rank; the rows of the other ranks only on rank 0."""

    shard: Shard
    """How far the part of the job that was to be counted has got, from its first unit on."""
    tally: Tally
    """Everything counted of it: of a round that was cut short, units beyond the first ones too."""
    usage: Usage
    """By this run, and by those that it went on from. On rank 0; elsewhere without other ranks' CPU time."""
    ranks: tuple[RankStats, ...]
    """By rank, on rank 0; elsewhere this rank's row alone."""
    timeline: Timeline
    rounds: int
    """Of this run."""
    kernels_right: bool
    """Whether the kernels of all ranks still counted the known answers after the run."""
    mpi_library: str
    suspects: tuple[str, ...] = ()
    """Ranks and hosts whose hits cannot be believed, see `verdict.suspects`; on every rank."""
    timestamps: Mapping[str, float] = field(default_factory=dict)
    """When rank 0 passed which point, see `mpi_pi.timestamps`; nothing if that is not known."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each step of rank 0 in this run, see `mpi_pi.system.phases`; nothing if not known."""
    shards: tuple[ShardSummary, ...] = ()
    """Of a merged result of several shards; `ranks` has theirs, one shard after the other."""

    @property
    def job(self) -> Job:
        """The job, of which a part was counted."""
        return self.shard.job

    @property
    def partial(self) -> bool:
        """Whether the run was stopped before its end."""
        return self.tally.points < self.shard.points

    @property
    def points_beyond(self) -> int:
        """Points counted beyond the part's first ones: whoever goes on from this run counts them again."""
        return self.tally.points - self.shard.tally.points

    @cached_property
    def estimate(self) -> "Estimate | None":
        """What the points counted say of pi; None if there are none."""
        from mpi_pi.model.estimate import estimate  # which a rank that reports nothing does without

        return estimate(self.tally) if self.tally.points else None

    @property
    def verified(self) -> bool:
        """Whether the answer passes the criteria of `mpi_pi.model.verdict`, and the kernels theirs."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why it does not, in words; nothing if it does. The ranks of wrong kernels are known on rank 0."""
        from mpi_pi.model import verdict

        found = verdict.reasons(self.estimate) if self.estimate else ["no points were counted"]
        if not self.kernels_right:
            wrong = verdict.with_wrong_kernel(self.ranks) or ["a rank"]
            found += [f"known answers: the kernel of {who} got them wrong after counting" for who in wrong]
        return [*found, *self.suspects]
