"""Outcome of a run: the counts, and statistics of ranks and rounds."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model import binomial
from mpi_pi.model.audit import Audit
from mpi_pi.model.job import Job
from mpi_pi.model.origin import Origin
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Tally

if TYPE_CHECKING:
    from mpi_pi.model.estimate import Estimate


@dataclass(frozen=True)
class ShardSummary:
    """One of the shards that were merged."""

    index: int
    ranks: int
    """Its rows in `Result.ranks`."""
    usage: Usage
    started_ranks: int
    """Ranks that its run was started with: those of its rows, and those lost before the first round."""
    origin: Origin | None = None
    """See `Result.origin`."""


class RankInfo(NamedTuple):
    """A rank's host, kernel and threads. The names of the fields are JSON members."""

    host: str
    cpu: str
    kernel: str
    kernel_target: str
    """CPU that the kernel was compiled for; "" if it was not compiled."""
    threads: int
    placement: str
    """Affinity of the ranks of the host, see `mpi_pi.system.affinity`."""
    cores: str
    """Cores that the rank may use, such as "0-3,8"."""


@dataclass(frozen=True, kw_only=True)
class RankStats:
    """Statistics of one rank in a run. The names of the fields are JSON members."""

    rank: int
    """Its number in MPI_COMM_WORLD at the start of the run. In a merged result, numbers go on from one shard
    to the next, see `Result.first_ranks`."""
    info: RankInfo
    kernel_source: str
    """"cache", "compiled", or "" for a kernel that is not compiled."""
    units: int = 0
    points: int = 0
    hits: int = 0
    kernel_right: bool = True
    """True unless the kernel failed the self-test after a round."""
    startup_seconds: float
    """Time from the start of the process until MPI was ready."""
    kernel_seconds: float
    """Time to load the kernel from the cache, or to import numba and compile it."""
    count_seconds: float = 0.0
    count_cpu_seconds: float | None = None
    """CPU time of all threads while counting; None if it is not known."""
    audit_seconds: float = 0.0
    """Time to count units of other ranks again, and to wait for their hits."""
    wait_seconds: float = 0.0
    """Time within the rounds that the rank waited for others and exchanged results."""
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    peak_memory_bytes: int = 0

    def after(self, totals: Sequence[int], usage: Sequence[int], right: bool, seconds: float) -> Self:
        """Return this row after all rounds, which took `seconds`.

        `totals` are the rank's units, points, hits, and nanoseconds of counting by clock and of CPU. `usage`
        are the nanoseconds of audits, and what `system.process.usage` returns there. `right` tells that its
        kernel still counts the known answers.
        """
        units, points, hits, count_nanoseconds, cpu_nanoseconds = totals
        audit_nanoseconds, user_nanoseconds, system_nanoseconds, peak_bytes = usage
        count_seconds = count_nanoseconds / 1e9
        return replace(
            self,
            units=units,
            points=points,
            hits=hits,
            kernel_right=right,
            count_seconds=count_seconds,
            count_cpu_seconds=cpu_nanoseconds / 1e9,
            audit_seconds=audit_nanoseconds / 1e9,
            wait_seconds=max(seconds - count_seconds - audit_nanoseconds / 1e9, 0.0),
            user_seconds=user_nanoseconds / 1e9,
            system_seconds=system_nanoseconds / 1e9,
            peak_memory_bytes=peak_bytes,
        )

    @property
    def points_per_second(self) -> float:
        """Rate of all threads together while counting; 0 for a rank that counted nothing."""
        return self.points / self.count_seconds if self.count_seconds else 0.0

    @property
    def standard_errors(self) -> float:
        """Signed deviation of the hits from their mean, in standard deviations; 0 if nothing was counted."""
        return float(binomial.standard_errors(self.points, self.hits))


@dataclass(frozen=True)
class RoundRecord:
    """Work of each rank in a round, or in several consecutive ones; arrays have shape (ranks,)."""

    first_round: int
    last_round: int
    start_seconds: float
    """Time at which rank 0 sent the assignments, from when it sent the first ones of the run."""
    end_seconds: float
    """Time at which rank 0 had the results of all ranks."""
    hits: int
    units: NDArray[np.int64]
    points: NDArray[np.int64]
    count_nanoseconds: NDArray[np.int64]
    lost_units: NDArray[np.int64]
    """Units counted beyond a gap that a rank left in a round cut short; they will be counted again."""

    def __add__(self, later: "RoundRecord") -> "RoundRecord":
        names = ("hits", "units", "points", "count_nanoseconds", "lost_units")
        sums = (getattr(self, name) + getattr(later, name) for name in names)
        return RoundRecord(self.first_round, later.last_round, self.start_seconds, later.end_seconds, *sums)


def add_pairs(records: Sequence[RoundRecord]) -> list[RoundRecord]:
    """Return half as many records, each the sum of two neighbours; an odd last one stays."""
    return [reduce(add, records[place : place + 2]) for place in range(0, len(records), 2)]


class LostRank(NamedTuple):
    """A rank that was lost, or excluded, during a run. The names of the fields are JSON members."""

    rank: int
    """Its number in MPI_COMM_WORLD, as in `RankStats`."""
    host: str
    """"" if the rank was lost before it had told its host."""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """The loss or exclusion of one or more ranks at a time, after which the other ranks went on.

    The names of the fields are JSON members.
    """

    lost: tuple[LostRank, ...]
    excluded: tuple[LostRank, ...] = ()
    """Ranks that an audit has found to count wrongly; they count nothing from then on."""
    round: int
    """Number of rounds that were complete at that time, and the number of the round that was counted anew;
    0 if all rounds were."""
    seconds: float
    """Time of the loss, since rank 0 sent the first assignments of the run."""
    redone_points: int
    """Points that were assigned, or had been counted, at that time, and were assigned anew."""
    cost_seconds: float
    """Time from the start of the round that was not completed to the start of the one in its place."""

    @property
    def ranks(self) -> tuple[LostRank, ...]:
        """All of the ranks."""
        return self.lost + self.excluded


@dataclass
class Timeline:
    """Records of all rounds in bounded memory: above `CELLS` values, neighbours are joined."""

    CELLS = 1 << 18

    records: list[RoundRecord] = field(default_factory=list)

    def append(self, record: RoundRecord) -> None:
        """Add the next round."""
        self.records.append(record)
        if len(self.records) >= 16 and len(self.records) * record.units.size > self.CELLS:
            self.records = add_pairs(self.records)


@dataclass(frozen=True)
class Result:
    """Outcome of a run, on every rank; the statistics of the other ranks only on rank 0."""

    shard: Shard
    """The shard that was counted, with the tally of its first units: where another run can go on."""
    tally: Tally
    """Everything counted: in a round cut short also units beyond a gap, which `shard` does not have."""
    usage: Usage
    """Usage of this run and those that it resumed; with the CPU time of other ranks on rank 0 alone."""
    ranks: tuple[RankStats, ...]
    """Statistics by rank, on rank 0; elsewhere of this rank alone."""
    timeline: Timeline
    rounds: int
    """Rounds of this run."""
    kernels_right: bool
    """True if the kernels of all ranks passed the self-test after the run."""
    mpi_library: str
    suspects: tuple[str, ...] = ()
    """Ranks and hosts whose hits are not credible, see `verdict.suspects`; on every rank."""
    timestamps: Mapping[str, float] = field(default_factory=dict)
    """Time at which rank 0 passed each point, see `mpi_pi.timestamps`; empty if not known."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each phase of rank 0 in this run, see `mpi_pi.system.phases`; empty if not known."""
    repairs: tuple[Repair, ...] = ()
    """Losses of ranks that the run survived, in the order of time. `ranks` and `timeline` have the lost
    ranks, too, but for those that were lost before the first round."""
    audit: Audit | None = None
    """Outcome of the audit; None if the run was not audited."""
    shards: tuple[ShardSummary, ...] = ()
    """Shards of a merged result; `ranks` has the ranks of one after the other."""
    origin: Origin | None = None
    """Start of this run, or of the merge; None where that is not told."""

    @property
    def job(self) -> Job:
        """The job that the shard belongs to."""
        return self.shard.job

    @cached_property
    def losses(self) -> dict[int, Repair]:
        """The repair after the loss of each lost rank, by the number of the rank."""
        return {lost.rank: repair for repair in self.repairs for lost in repair.lost}

    @cached_property
    def first_ranks(self) -> Sequence[int]:
        """Number of the first rank of each shard of a merged result; otherwise of the only one, 0."""
        return [0, *accumulate(shard.started_ranks for shard in self.shards[:-1])]

    def shard_of(self, rank: int) -> int:
        """Return the place in `shards` of the shard that a rank has counted; 0 if none were merged."""
        return bisect_right(self.first_ranks, rank) - 1

    def rounds_of(self, shard: int) -> int:
        """Return the number of rounds of the shard at a place in `shards`, or of a run that is not merged."""
        if self.shards:
            return self.shards[shard].usage.rounds
        return self.timeline.records[-1].last_round + 1 if self.timeline.records else self.rounds

    @property
    def partial(self) -> bool:
        """True if the run was stopped before its end."""
        return self.tally.points < self.shard.points

    @property
    def ended_by_audit(self) -> bool:
        """True if an audit has ended the run, since nobody can tell which ranks are right, or none is."""
        return self.audit is not None and (bool(self.audit.unsettled) or not self.kernels_right)

    @property
    def points_beyond(self) -> int:
        """Points counted beyond a gap; a run that resumes this one counts them again."""
        return self.tally.points - self.shard.tally.points

    @cached_property
    def estimate(self) -> "Estimate | None":
        """The estimate from `tally`; None if no points were counted."""
        from mpi_pi.model.estimate import estimate  # with decimal; only a rank that reports needs it

        return estimate(self.tally) if self.tally.points else None

    @property
    def verified(self) -> bool:
        """True if the result passes the criteria of `mpi_pi.model.verdict`, and all kernels the self-test."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Reasons why the result is not verified, for the user; only rank 0 names wrong kernels."""
        from mpi_pi.model import verdict  # imports estimate

        found = verdict.reasons(self.estimate) if self.estimate else ["no points were counted"]
        if self.ended_by_audit and not self.kernels_right:
            found.append("audit: no rank is left that counts right")
        elif not self.kernels_right:
            wrong = verdict.with_wrong_kernel(self.ranks) or ["a rank"]
            found += [f"known answers: the kernel of {who} got them wrong after counting" for who in wrong]
        unsettled = self.audit.unsettled if self.audit else ()
        return [*found, *self.suspects, *map(verdict.on_unsettled, unsettled)]
