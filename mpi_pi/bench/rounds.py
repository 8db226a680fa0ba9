"""Cost of a round besides counting, on more and more ranks, and of its parts: links, and rank 0's manager."""

import itertools
import statistics
from dataclasses import asdict, dataclass
from typing import Any

from mpi_pi.bench import manager, round_model
from mpi_pi.bench.document import Progress
from mpi_pi.bench.median import MedianCI
from mpi_pi.bench.rank_groups import RankGroup, RankGroups
from mpi_pi.bench.scaling import SEED
from mpi_pi.errors import RunError
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.model.result import Result
from mpi_pi.mpi import pingpong
from mpi_pi.mpi.peer_timeout import PeerTimeout
from mpi_pi.parallel.load_balancer import Tuning

MIN_ROUNDS, MAX_ROUNDS = 20, 500
"""Rounds of one point per rank, in each turn."""

MAX_LINK_SECONDS = 0.3
"""Duration of the measurement of a link; enough for one that is not too slow."""


LINK_MEMBERS = ("latency_seconds", "bytes_per_second")


@dataclass(frozen=True)
class TimeBudget:
    """Duration of the measurement, whatever the number of groups and links."""

    turns: int
    rounds_seconds: float
    """Duration of all turns of all groups."""
    links_seconds: float


QUICK = TimeBudget(turns=5, rounds_seconds=4.0, links_seconds=1.0)
FULL = TimeBudget(turns=9, rounds_seconds=20.0, links_seconds=5.0)


def measure(groups: RankGroups, kernel: Kernel, full: bool, progress: Progress) -> dict[str, Any]:
    """Measure the section `round` of a benchmark on all ranks; return it on rank 0, and {} elsewhere.

    Collective. Raises CollectiveError on all ranks, or HeartbeatTimeout.
    """
    budget = FULL if full else QUICK
    rows = _round_rows(groups, kernel, budget, lambda done: progress(done / 2))
    link = _slowest_link(groups, budget)
    of_manager = groups.call_on((0,), lambda: manager.measure(full, lambda done: progress((1 + done) / 2)))
    return round_model.section(rows, link, of_manager) if of_manager else {}


def _round_rows(
    groups: RankGroups, kernel: Kernel, budget: TimeBudget, progress: Progress
) -> list[dict[str, Any]]:
    """Measure rounds of one point per rank on all groups of several ranks, or on the only rank."""
    measured = [group for group in groups.groups if len(group.ranks) > 1] or groups.groups
    seconds_each = budget.rounds_seconds / budget.turns / len(measured)

    def cost(group: RankGroup, rounds: int) -> float:
        size = len(group.ranks)
        result = groups.run(group, Job(size * rounds, 1, SEED), kernel, Tuning(max_units=size))
        return _median_cost(result) if result else 0.0

    numbers = []
    for group in measured:
        expected = groups.bcast(cost(group, MIN_ROUNDS))
        numbers.append(min(max(int(seconds_each / max(expected, 1e-9)), MIN_ROUNDS), MAX_ROUNDS))
    costs: list[list[float]] = [[] for _ in measured]
    for done in range(budget.turns):
        for group, rounds, seconds in zip(measured, numbers, costs, strict=True):
            seconds.append(cost(group, rounds))
        progress((done + 1) / budget.turns)
    return [
        {"ranks": len(group.ranks), "hosts": group.hosts, "seconds": MedianCI.of(seconds).as_fields()}
        for group, seconds in zip(measured, costs, strict=True)
    ]


def _median_cost(result: Result) -> float:
    """Return the median cost of a round besides counting by its slowest rank, on rank 0; elsewhere 0.

    A round lasts from assignment to assignment. The mean would be that of the few longest rounds: that is OS
    noise, which has a section of its own.
    """
    costs = [
        (after.start_seconds - record.start_seconds - float(record.count_nanoseconds.max()) / 1e9)
        / (record.last_round - record.first_round + 1)
        for record, after in itertools.pairwise(result.timeline.records)
    ]
    return statistics.median(costs) if costs else 0.0


def _slowest_link(groups: RankGroups, budget: TimeBudget) -> dict[str, Any] | None:
    """Return the link of the highest latency between rank 0 and other hosts or, on one host, another rank.

    None with one rank, and on other ranks than 0.
    """
    ranks, hosts = groups.groups[-1].ranks, groups.hosts
    first_ranks = {hosts[rank]: rank for rank in reversed(ranks)}
    others = [rank for rank in sorted(first_ranks.values()) if rank > 0] or ranks[1:2]
    seconds = min(budget.links_seconds / max(len(others), 1), MAX_LINK_SECONDS)
    links = [link for rank in others if (link := _link(groups, rank, seconds))]
    return max(links, key=lambda link: float(link["latency_seconds"]), default=None)


def _link(groups: RankGroups, rank: int, seconds: float) -> dict[str, Any] | None:
    """Return the link between rank 0 and another rank, on rank 0."""
    comm, hosts = groups.comm, groups.hosts

    def exchange() -> dict[str, Any] | None:
        try:
            if comm.rank == 0:
                link = asdict(pingpong.measure(comm, rank, seconds))
                return {"host": hosts[rank]} | {name: link[name] for name in LINK_MEMBERS}
            pingpong.answer(comm)
        except PeerTimeout as silent:
            there = f"rank 0 on host {hosts[0]} and rank {rank} on host {hosts[rank]}"
            raise RunError(f"no message has come through between {there}") from silent
        return None

    return groups.call_on((0, rank), exchange)
