"""Scaling and rounds, measured briefly on real ranks. They need mpirun, see run_all.py."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import numpy as np
import pytest
from mpi4py import MPI
from numpy.typing import NDArray

from mpi_pi import CollectiveError, Job, run
from mpi_pi.bench import manager, rank_groups, rank_sweep, rounds, scaling
from mpi_pi.bench.rank_groups import RankGroups
from mpi_pi.bench.scaling import doubling
from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.mpi import runtime
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.runtime import may_use_threads
from mpi_pi.parallel.load_balancer import Tuning
from mpi_pi.system import affinity
from support.schemas import BENCH as SCHEMA

COMM = MPI.COMM_WORLD
TURNS = 2


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_sweep, "QUICK", rank_sweep.TimeBudget(TURNS, 0.01, 0.005, 10.0))
    monkeypatch.setattr(rank_sweep, "MIN_RATE_SECONDS", 1e-3)
    monkeypatch.setattr(rounds, "QUICK", rounds.TimeBudget(TURNS, 0.01, 0.01))
    monkeypatch.setattr(rounds, "MIN_ROUNDS", 3)
    monkeypatch.setattr(manager, "RANKS", (10, 100, 1000))


@pytest.fixture
def two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_groups, "host_name", lambda: ("odd" if COMM.rank % 2 else "even") + "-host")


@contextlib.contextmanager
def measuring(oversubscribe: bool) -> Iterator[RankGroups]:
    heartbeat = Heartbeat(COMM, runtime.host_name(), may_use_threads())
    try:
        with RankGroups(COMM, heartbeat, oversubscribe) as groups:
            yield groups
    finally:
        heartbeat.close()


def section(
    measure: Callable[..., dict[str, Any]],
    name: str,
    kernel: Kernel | None = None,
    oversubscribe: bool = True,
) -> dict[str, Any]:
    """What rank 0 has measured, on all ranks."""
    shown: list[float] = []
    with measuring(oversubscribe) as groups:
        made = measure(groups, kernel or load("numba"), False, shown.append)
    if COMM.rank == 0:
        jsonschema.validate(made, SCHEMA["properties"][name] | {"$defs": SCHEMA["$defs"]})
        assert shown == sorted(shown)
        assert shown[-1] == pytest.approx(1)
    else:
        assert made == {}
    everyones: dict[str, Any] = COMM.bcast(made)
    return everyones


def ranks_and_hosts(rows: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(row["ranks"], row["hosts"]) for row in rows]


def test_scaling_on_one_host_goes_by_ranks_and_has_the_same_hits_everywhere() -> None:
    made = section(rank_sweep.measure, "scaling")
    assert made["by"] == "ranks"
    assert made["idle_ranks"] == 0
    assert made["same_hits"]
    for part in (made["strong"], made["weak"]):
        assert ranks_and_hosts(part["rows"]) == [(number, 1) for number in doubling(COMM.size)]
        assert all(len(row["seconds"]["samples"]) == TURNS for row in part["rows"])
        assert all(min(row["seconds"]["samples"]) > 0 for row in part["rows"])


@pytest.mark.mpi(min_size=2)
def test_scaling_on_several_hosts_goes_by_hosts(two_hosts: None) -> None:
    made = section(rank_sweep.measure, "scaling")
    assert made["by"] == "hosts"
    assert ranks_and_hosts(made["strong"]["rows"]) == [((COMM.size + 1) // 2, 1), (COMM.size, 2)]


@pytest.mark.mpi(min_size=2)
def test_ranks_that_would_share_a_core_are_left_out_unless_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affinity, "cores", lambda: frozenset({0}))
    made = section(rank_sweep.measure, "scaling", oversubscribe=False)
    assert made["idle_ranks"] == COMM.size - 1
    assert ranks_and_hosts(made["strong"]["rows"]) == [(1, 1)]
    assert made["strong"]["serial_fraction"] is None


@pytest.mark.mpi(min_size=2)
def test_hits_that_depend_on_the_number_of_ranks_do_not_go_unnoticed() -> None:
    right = load("numba")

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        counted_by_another = COMM.rank == 1 and job.seed == scaling.SEED
        return right.count(job, units, stop) + counted_by_another

    assert not section(rank_sweep.measure, "scaling", Kernel("numba", count))["same_hits"]


@pytest.mark.mpi(min_size=2)
def test_ranks_that_are_left_out_hear_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    right = load("numba")

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        if job.seed == scaling.SEED:
            raise ZeroDivisionError("by a pie")
        return right.count(job, units, stop)

    with (
        pytest.raises(CollectiveError, match=r"rank 0 on host .+: ZeroDivisionError: by a pie"),
        measuring(oversubscribe=True) as groups,
    ):
        rank_sweep.measure(groups, Kernel("numba", count), False, lambda done: None)


def test_rounds_are_measured_on_more_than_one_rank_and_modelled_for_a_million() -> None:
    made = section(rounds.measure, "round")
    assert ranks_and_hosts(made["rows"]) == [(number, 1) for number in doubling(COMM.size)[1:] or [1]]
    assert [row["ranks"] for row in made["planner"]] == [10, 100, 1000]
    assert all(len(row["seconds"]["samples"]) == TURNS for row in made["rows"])
    if COMM.size == 1:
        assert made["link"] is None
        assert made["model"] == []
    else:
        assert made["link"]["host"] == MPI.Get_processor_name()
        assert made["link"]["latency_seconds"] > 0
        assert [row["ranks"] for row in made["model"]] == [10**3, 10**4, 10**5, 10**6]


@pytest.mark.mpi(min_size=2)
def test_links_lead_to_other_hosts(two_hosts: None) -> None:
    assert section(rounds.measure, "round")["link"]["host"] == "odd-host"


def test_rounds_have_no_more_units_than_wanted() -> None:
    result = run(Job(7 * COMM.size, 1, 1), COMM, tuning=Tuning(max_units=COMM.size))
    assert result.rounds == 7
    assert all(row.units.sum() == COMM.size for row in result.timeline.records)
