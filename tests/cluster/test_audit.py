"""Audited jobs on several hosts, of which one counts wrongly as a whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.audits import ALL, JOB, ROUNDS, require_found, wrong_in
from support.chaos import SURVIVING, Start, start_on_hosts
from support.cluster import Cluster, booted
from support.faults import Fault, Faults
from support.launching import soak
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
    with start_on_hosts(cluster, open_mpi, faults, tmp_path, environment) as starts:
        starts.options = ()
        yield starts


@pytest.mark.parametrize("host", [1, pytest.param(0, marks=soak), pytest.param(2, marks=soak)])
def test_host_that_counts_wrongly_as_a_whole_is_found_by_the_others(start: Start, host: int) -> None:
    """Its ranks agree on wrong hits, and would find nothing if one of them audited another one."""
    ranks = [2 * host, 2 * host + 1]
    faults = wrong_in("the same units on all ranks", *ranks)
    ended = require_found(start(*faults, ranks=RANKS, job=JOB, options=ALL, values=ROUNDS), JOB, *ranks)
    assert ended.document
    assert {rank["host"] for rank in ended.document["audit"]["wrong"]} == {f"node{host + 1}"}


@pytest.mark.parametrize("dies", [0, pytest.param(5, marks=soak)])
def test_host_that_counts_wrongly_is_found_though_another_one_loses_a_rank(start: Start, dies: int) -> None:
    start.options = SURVIVING
    wrong = wrong_in("the same units on all ranks", 2, 3)
    kill = Fault("before the settlement", "SIGKILL", dies)
    ended = require_found(start(*wrong, kill, ranks=RANKS, job=JOB, options=ALL, values=ROUNDS), JOB, 2, 3)
    assert [rank for rank, *_ in ended.lost] == [dies]
