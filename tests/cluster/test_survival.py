"""Jobs on several hosts that lose ranks, hosts, or their network: the others go on with the same hits."""

import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.chaos import JOB, LONG, Start, hits_of, require_right, start_on_hosts, trial
from support.cluster import Cluster, booted
from support.faults import Fault, Faults
from support.launching import HANGS, soak
from support.mpis import Mpi

RANKS = 6
"""Two on each host."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(3, "ps") as up:
        yield up


@pytest.fixture
def start(
    cluster: Cluster, open_mpi: Mpi, faults: Faults, environment: dict[str, str], tmp_path: Path
) -> Iterator[Start]:
    """Yield what starts jobs on three hosts, whose ranks are dealt out in blocks."""
    with start_on_hosts(cluster, open_mpi, faults, tmp_path, environment) as starts:
        yield starts


def killed(ranks: Sequence[int]) -> list[Fault]:
    return [Fault("in a round", "SIGKILL", rank, passes=2) for rank in ranks]


@pytest.mark.parametrize("lost", [[0], pytest.param([3], marks=soak), [0, 1], [4, 5], [0, 1, 2, 3]])
def test_ranks_may_be_killed(start: Start, lost: list[int]) -> None:
    """Kill one rank, all ranks of a host, and those of two hosts, each time with rank 0 and without it."""
    ended = start(*killed(lost), ranks=RANKS).ended()
    require_right(ended, JOB)
    assert [(rank, host) for rank, host, _ in sorted(ended.lost)] == [
        (rank, f"node{rank // 2 + 1}") for rank in lost
    ]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("times", [2, pytest.param(50, marks=soak)])
def test_random_losses_change_no_hits(start: Start, times: int) -> None:
    bad = [fault for seed in range(1000, 1000 + times) if (fault := trial(start, seed))]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("stopped", [[0, 1], pytest.param([4, 5], marks=soak)])
def test_host_that_stands_still_is_lost_and_writes_nothing_when_it_wakes_up(
    start: Start, stopped: list[int]
) -> None:
    job = start.long(ranks=RANKS, options=["--patience", "3s"])
    job.until_head()
    time.sleep(0.5)
    job.kill(*stopped, number=signal.SIGSTOP)
    start.full_speed()
    job.until(lambda: "Verification = " in job.out)
    written = job.json.stat().st_ino, job.out
    alive = job.ranks()
    assert set(stopped) <= set(alive)
    job.kill(*stopped, number=signal.SIGCONT)
    ended = job.ended()
    require_right(ended, LONG)
    assert (job.json.stat().st_ino, job.out) == written
    assert {rank for rank, *_ in ended.lost} == set(stopped)


def test_network_that_fails_for_five_seconds_loses_no_rank(start: Start, cluster: Cluster) -> None:
    job = start.long(ranks=RANKS)
    job.until_head()
    cluster.pull_cable("node2")
    time.sleep(5)
    cluster.plug_cable("node2")
    start.full_speed()
    ended = job.ended()
    require_right(ended, LONG)
    assert ended.lost == []


@pytest.mark.parametrize("name", ["node1", pytest.param("node3", marks=soak)])
def test_ranks_go_on_without_a_host_that_is_out_of_reach(start: Start, cluster: Cluster, name: str) -> None:
    """Cut off one of three ranks. Those on the other side of the cut have nothing to say, even if it ends."""
    job = start.long(ranks=3, options=["--patience", "3s"])
    job.until_head()
    cluster.pull_cable(name)
    start.full_speed()
    try:
        job.until(lambda: "Verification = " in job.out)
    finally:
        cluster.plug_cable(name)
    ended = job.ended()
    assert ended.status != HANGS
    assert ended.out.count("Verification = SUCCESSFUL\n") == 1
    assert ended.hits == {hits_of(LONG)}
    assert {host for _, host, _ in ended.lost} == {name}
