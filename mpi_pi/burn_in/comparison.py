"""Comparisons of rates: of ranks and hosts with their twins, of the end of a phase with its beginning."""

import statistics
from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

from mpi_pi.burn_in.meter import window
from mpi_pi.burn_in.outcome import BurnIn, PhaseOutcome

MIN_WINDOW_SECONDS = 5.0
"""Shortest times of which the rates are compared: rates of shorter ones differ by chance."""

MIN_WORK_SECONDS = 0.1
"""Shortest CPU time of a rank whose rate is compared."""

Key = TypeVar("Key", bound=Hashable)


class Share(NamedTuple):
    """Share of a rank in the rate of its twins, or of the end in that of the beginning."""

    share: float
    rank: int


def rank_shares(burn_in: BurnIn, outcome: PhaseOutcome) -> dict[int, float]:
    """Return the rate of each rank over the median rate of its twins, by rank.

    Twins are the other ranks on the host, or, for a rank that is alone there, those that are alone on hosts
    with the same CPU, all with the same kernel and number of threads. Ranks on hosts with different cores,
    or with fewer cores than threads, have none.
    """
    twins: dict[Hashable, dict[int, float]] = {}
    for facts, work in zip(burn_in.ranks, outcome.ranks, strict=True):
        host = burn_in.hosts[facts.host]
        if work.points_per_second and work.seconds >= MIN_WORK_SECONDS and not host.oversubscribed:
            kernel = facts.kernel, facts.kernel_target, facts.threads
            if len(burn_in.ranks_of_hosts[facts.host]) == 1:
                place: Hashable = host.cpu, host.architecture
            elif host.cores_alike:
                place = facts.host
            else:
                continue
            twins.setdefault((place, kernel), {})[facts.rank] = work.points_per_second
    return {rank: share for alike in twins.values() for rank, share in shares_of_others(alike).items()}


def host_shares(burn_in: BurnIn, outcome: PhaseOutcome) -> dict[int, float]:
    """Return the median rate of each host's ranks over that of its twins, by the place of the host.

    Twins are hosts with the same CPU, number of ranks, kernels and threads, of several ranks each.
    """
    twins: dict[Hashable, dict[int, float]] = {}
    for place, (host, ranks) in enumerate(zip(burn_in.hosts, burn_in.ranks_of_hosts, strict=True)):
        works = [outcome.ranks[rank] for rank in ranks]
        rates = [
            work.points_per_second
            for work in works
            if work.points_per_second and work.seconds >= MIN_WORK_SECONDS
        ]
        if rates and len(ranks) > 1 and not host.oversubscribed:
            kernels = frozenset(burn_in.ranks[rank][3:] for rank in ranks)
            alike = twins.setdefault((host.cpu, host.architecture, len(ranks), kernels), {})
            alike[place] = statistics.median(rates)
    return {place: share for alike in twins.values() for place, share in shares_of_others(alike).items()}


def lasting_share(burn_in: BurnIn, outcome: PhaseOutcome, host: int) -> float | None:
    """Return the rate of a host in the last window of a phase over that in the first.

    None if it is not known of all ranks, in a phase that is too short, and in one where cores take turns.
    """
    if outcome.phase.alone or window(outcome.seconds) < MIN_WINDOW_SECONDS:
        return None
    works = [outcome.ranks[rank] for rank in burn_in.ranks_of_hosts[host]]
    first = [work.first_points_per_second or 0.0 for work in works]
    last = [work.last_points_per_second or 0.0 for work in works]
    return sum(last) / sum(first) if all(first) and all(last) else None


def slowest(burn_in: BurnIn, outcome: PhaseOutcome, host: int) -> Share | None:
    """Return the rank of a host that is slowest against its twins; None if none has any."""
    shares = rank_shares(burn_in, outcome)
    known = [Share(shares[rank], rank) for rank in burn_in.ranks_of_hosts[host] if rank in shares]
    return min(known, default=None)


def shares_of_others(values: Mapping[Key, float]) -> dict[Key, float]:
    """Return each value over the median of all others; empty for a single one."""
    ordered = sorted(values.values())
    if len(ordered) < 2:
        return {}
    shares = {}
    for key, value in values.items():
        others = ordered.copy()
        others.remove(value)
        shares[key] = value / statistics.median(others)
    return shares
