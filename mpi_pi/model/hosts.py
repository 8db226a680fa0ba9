"""Sums over the ranks of each host."""

from typing import NamedTuple

from mpi_pi.model.result import RankStats, Result

MIN_CORE_SHARE = 0.7
"""Smallest share of a core of its own that is not worth a remark, as in `mpi-pi check`. Ranks that take turns
have 0.5 of a core where two are on one, and 0.67 where three are on two; other programs of an idle host take
0.1 at most."""

MIN_COUNT_SECONDS = 1.0
"""Time of counting from which on the share of a core tells anything: quotas of CPU time hold for periods of
0.1 s, and the system takes some 0.1 s to spread processes over the cores."""


class HostSums(NamedTuple):
    """Sums over the ranks of a host. The names of the fields are JSON members."""

    host: str
    shard: int | None
    """Index of the shard that these ranks have counted; None if no shards were merged."""
    ranks: tuple[int, ...]
    """Numbers of the ranks, in ascending order."""
    threads: int
    units: int
    points: int
    hits: int
    count_seconds: float
    """Of the slowest rank."""
    user_seconds: float
    system_seconds: float
    points_per_second: float
    core_share: float | None
    """Lowest share of a core that a rank got while counting; None if it is not known."""


def by_host(result: Result) -> dict[tuple[int | None, str], list[RankStats]]:
    """Return the ranks by shard and host, in the order of the first rank of each; see `HostSums.shard`."""
    hosts: dict[tuple[int | None, str], list[RankStats]] = {}
    for row in result.ranks:
        shard = result.shards[result.shard_of(row.rank)].index if result.shards else None
        hosts.setdefault((shard, row.info.host), []).append(row)
    return hosts


def host_sums(result: Result) -> list[HostSums]:
    """Return the sums over the ranks of each host, in the order of `by_host`."""
    return [_sums(shard, host, rows) for (shard, host), rows in by_host(result).items()]


def _sums(shard: int | None, host: str, rows: list[RankStats]) -> HostSums:
    return HostSums(
        host=host,
        shard=shard,
        ranks=tuple(row.rank for row in rows),
        threads=sum(row.info.threads for row in rows),
        units=sum(row.units for row in rows),
        points=sum(row.points for row in rows),
        hits=sum(row.hits for row in rows),
        count_seconds=max(row.count_seconds for row in rows),
        user_seconds=sum(row.user_seconds for row in rows),
        system_seconds=sum(row.system_seconds for row in rows),
        points_per_second=sum(row.points_per_second for row in rows),
        core_share=min((share for share in map(core_share, rows) if share is not None), default=None),
    )


def core_share(rank: RankStats) -> float | None:
    """Return the share of a core that each thread of a rank got while counting; None if it is not known."""
    if rank.count_cpu_seconds is None or not rank.count_seconds:
        return None
    return rank.count_cpu_seconds / (rank.count_seconds * rank.info.threads)


def starved(result: Result) -> dict[str, float]:
    """Return the lowest share of a core that a rank got, by host, where that is less than MIN_CORE_SHARE."""
    shares: dict[str, float] = {}
    for rank in result.ranks:
        share = core_share(rank)
        if share is not None and share < MIN_CORE_SHARE and rank.count_seconds >= MIN_COUNT_SECONDS:
            shares[rank.info.host] = min(share, shares.get(rank.info.host, share))
    return shares
