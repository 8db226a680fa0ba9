"""Threads and placements of ranks, computed from the facts that they send rank 0."""

import pytest

from mpi_pi.parallel.team import Arrival, placements, threads_of_ranks


def arrival(
    cores: frozenset[int], threads: int | None = None, host: str = "a", boot_id: str = "1"
) -> Arrival:
    return Arrival(host, boot_id, "", cores, 12, threads)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_cores_are_shared_out_among_the_ranks_of_a_host(ranks: int) -> None:
    every = frozenset(range(12))
    unbound = [arrival(every)] * ranks
    assert threads_of_ranks(unbound, None) == [12 // ranks] * ranks
    bound = [arrival(frozenset({3 * rank, 3 * rank + 1, 3 * rank + 2})) for rank in range(ranks)]
    assert threads_of_ranks(bound, None) == [3] * ranks
    assert threads_of_ranks([arrival(frozenset({0}))] * ranks, None) == [1] * ranks


def test_ranks_of_other_hosts_share_no_cores() -> None:
    cores = frozenset(range(4))
    assert threads_of_ranks([arrival(cores, host=host) for host in "abb"], None) == [4, 2, 2]
    # Two machines that have one name.
    assert threads_of_ranks([arrival(cores, boot_id=boot_id) for boot_id in "12"], None) == [4, 4]


def test_threads_that_were_asked_for_come_first() -> None:
    cores = frozenset(range(4))
    assert threads_of_ranks([arrival(cores, 3), arrival(cores)], None) == [3, 2]
    assert threads_of_ranks([arrival(cores, 3), arrival(cores)], 8) == [3, 8]


def test_share_of_the_cores_is_limited_by_the_request_of_the_job() -> None:
    cores = frozenset(range(12))
    assert threads_of_ranks([arrival(cores)], None, 4) == [4]
    assert threads_of_ranks([arrival(cores)] * 6, None, 4) == [2] * 6
    assert threads_of_ranks([arrival(cores, 8)], None, 4) == [8]  # asked for by the user


def test_placements_are_those_of_the_host() -> None:
    cores = frozenset(range(12))
    told = placements([arrival(cores), arrival(cores), arrival(frozenset({0}), host="b")], [2, 3, 1])
    assert told == ["5 threads on 12 cores (7 left to the system), not bound"] * 2 + [
        "1 thread on 12 cores (11 left to the system), bound to 1 core each"
    ]
