"""Times of a job on more and more ranks, for strong and weak scaling."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mpi_pi.bench import scaling
from mpi_pi.bench.document import Progress
from mpi_pi.bench.rank_groups import RankGroups
from mpi_pi.bench.scaling import MAX_POINTS_PER_TRIAL, SEED, GroupTimes, job_of
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.model.result import Result

MIN_RATE_SECONDS = 0.1
"""Duration of a job that tells how fast the ranks are, at least."""

MIN_TURNS = 3
"""Turns, whatever the budget."""


class TimeBudget(NamedTuple):
    """Duration of the measurement."""

    turns: int
    strong_seconds: float
    """Duration of the strong job on the first group; the other groups are faster, if it scales."""
    weak_seconds: float
    """Maximum duration of the weak job."""
    total_seconds: float
    """Duration of all turns, whatever the number of groups."""


QUICK = TimeBudget(turns=5, strong_seconds=1.0, weak_seconds=0.5, total_seconds=20.0)
FULL = TimeBudget(turns=9, strong_seconds=4.0, weak_seconds=2.0, total_seconds=110.0)


def measure(groups: RankGroups, kernel: Kernel, full: bool, progress: Progress) -> dict[str, Any]:
    """Measure the section `scaling` of a benchmark on all ranks; return it on rank 0, and {} elsewhere.

    Collective. Raises CollectiveError on all ranks, or HeartbeatTimeout.
    """
    budget = FULL if full else QUICK
    strong, weak = _jobs(groups, kernel, budget)
    for group in groups.groups:  # which may have to make connections
        groups.run(group, _times_as_large(weak, len(group.ranks) / 4), kernel)
    hits: set[int] = set()
    strong_seconds: list[list[float]] = [[] for _ in groups.groups]
    weak_seconds: list[list[float]] = [[] for _ in groups.groups]
    for done in _turns(groups, budget):
        for index, group in enumerate(groups.groups):
            if result := groups.run(group, strong, kernel):
                hits.add(result.tally.hits)
                strong_seconds[index].append(_seconds(result))
            if result := groups.run(group, _times_as_large(weak, len(group.ranks)), kernel):
                weak_seconds[index].append(_seconds(result))
            progress((done + (index + 1) / len(groups.groups)) / budget.turns)
    progress(1.0)  # the budget may have been enough for fewer turns
    if groups.comm.rank:
        return {}
    return {
        "by": "ranks" if groups.groups[-1].hosts == 1 else "hosts",
        "idle_ranks": groups.idle_ranks,
        "same_hits": len(hits) == 1,
        "strong": scaling.strong(strong, _by_group(groups, strong_seconds)),
        "weak": scaling.weak(weak, _by_group(groups, weak_seconds)),
    }


def _by_group(groups: RankGroups, seconds: Sequence[Sequence[float]]) -> list[GroupTimes]:
    return [
        GroupTimes(len(group.ranks), group.hosts, tuple(of_group))
        for group, of_group in zip(groups.groups, seconds, strict=True)
    ]


def _turns(groups: RankGroups, budget: TimeBudget) -> Iterator[int]:
    """Generate the numbers of turns, until the budget would not last for one more."""
    start = time.perf_counter()
    for done in range(budget.turns):
        if done >= MIN_TURNS:
            needed = (time.perf_counter() - start) * (done + 1) / done
            if groups.bcast(needed > budget.total_seconds):
                break
        yield done


def _jobs(groups: RankGroups, kernel: Kernel, budget: TimeBudget) -> tuple[Job, Job]:
    """Return the strong job, and the weak one of each rank."""
    first = groups.groups[0]
    job = Job(len(first.ranks), MAX_POINTS_PER_TRIAL, SEED)
    while True:
        result = groups.run(first, job, kernel)
        seconds = groups.bcast(result.usage.round_seconds if result else 0.0)  # rank 0 is in every group
        if seconds > MIN_RATE_SECONDS:
            break
        job = _times_as_large(job, 8)
    points_per_second = job.total_points / seconds
    strong = job_of(points_per_second * budget.strong_seconds, len(groups.groups[-1].ranks))
    # If it scales perfectly, the strong job takes no more than twice its first time in a turn.
    left = budget.total_seconds / budget.turns - 2 * budget.strong_seconds
    weak_seconds = min(budget.weak_seconds, left / len(groups.groups))
    return strong, job_of(points_per_second / len(first.ranks) * weak_seconds, 1)


def _times_as_large(job: Job, times: float) -> Job:
    return Job(max(round(job.trials * times), 1), job.points, job.seed)


def _seconds(result: Result) -> float:
    """Return the time from the first assignment to the last result, on rank 0."""
    records = result.timeline.records
    return records[-1].end_seconds if records else 0.0
