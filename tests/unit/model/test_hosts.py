"""Sums over the ranks of a host, and hosts whose ranks got only a part of a core."""

from dataclasses import replace

import pytest

from mpi_pi.model.hosts import MIN_CORE_SHARE, MIN_COUNT_SECONDS, core_share, host_sums, starved
from mpi_pi.model.result import RankStats, Result
from support import runs


def with_share(rank: RankStats, share: float, seconds: float = 10.0) -> RankStats:
    return replace(rank, count_seconds=seconds, count_cpu_seconds=share * seconds * rank.info.threads)


def test_hosts_have_the_sums_of_their_ranks() -> None:
    result = runs.run(3, 2)
    found = host_sums(result)
    assert [host.host for host in found] == [runs.host_name(number) for number in range(3)]
    assert [host.ranks for host in found] == [(0, 1), (2, 3), (4, 5)]
    for name in ("units", "points", "hits", "points_per_second", "user_seconds", "system_seconds"):
        for host in found:
            total = sum(getattr(result.ranks[rank], name) for rank in host.ranks)
            assert getattr(host, name) == pytest.approx(total)
    assert sum(host.points for host in found) == result.tally.points
    assert [host.core_share for host in found] == [None] * 3
    assert found[2].count_seconds == max(rank.count_seconds for rank in result.ranks[4:])


def of_shares(*ranks: tuple[float, float], threads: int = 1) -> Result:
    """Return a run whose ranks, two on each host, had these shares of a core for so many seconds."""
    result = runs.run(len(ranks) // 2, 2)
    rows = [replace(row, info=row.info._replace(threads=threads)) for row in result.ranks]
    return replace(result, ranks=tuple(with_share(row, *rank) for row, rank in zip(rows, ranks, strict=True)))


@pytest.mark.parametrize("threads", [1, 4])
def test_host_is_named_with_its_least_share_of_a_core(threads: int) -> None:
    low, high = MIN_CORE_SHARE - 0.01, MIN_CORE_SHARE + 0.01
    result = of_shares((high, 10.0), (1.0, 10.0), (0.5, 10.0), (low, 10.0), threads=threads)
    assert starved(result) == pytest.approx({runs.host_name(1): 0.5})
    assert [host.core_share for host in host_sums(result)] == pytest.approx([high, 0.5])


def test_rank_that_counted_for_a_moment_is_not_judged() -> None:
    moment, longer = MIN_COUNT_SECONDS - 0.01, MIN_COUNT_SECONDS
    assert starved(of_shares((0.1, moment), (1.0, 10.0))) == {}
    assert starved(of_shares((0.1, longer), (1.0, 10.0))) == pytest.approx({runs.host_name(0): 0.1})


def test_rank_without_points_or_cpu_time_has_no_share_of_a_core() -> None:
    rank = runs.run(1).ranks[0]
    assert core_share(rank) is None
    assert core_share(with_share(rank, 0.0, 0.0)) is None
    assert starved(runs.run(3)) == {}
