"""The model of the cost of a round, by algebra, and the times of the manager."""

import math
import subprocess
import sys
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_pi.bench import manager, round_model
from mpi_pi.bench.median import MedianCI
from mpi_pi.parallel.manager import Manager
from mpi_pi.parallel.messages import Assignment, WorkResult
from mpi_pi.report import plain
from mpi_pi.report.bench import rounds as rounds_report
from support.schemas import BENCH as SCHEMA


def text_of(section: dict[str, Any]) -> str:
    return plain.text(rounds_report.blocks(section))


def row(ranks: int, seconds: float, **others: int) -> dict[str, Any]:
    return {"ranks": ranks, **others, "seconds": MedianCI.of([seconds]).as_fields()}


def section(
    round_seconds: float = 1e-3,
    latency: float = 1e-5,
    bytes_per_second: float = 1e9,
    planner: tuple[float, ...] = (1e-3, 1e-2, 1e-1),
    hosts: int = 2,
) -> dict[str, Any]:
    link = {"host": "node1", "latency_seconds": latency, "bytes_per_second": bytes_per_second}
    books = [row(10**power, seconds) for power, seconds in enumerate(planner, start=3)]
    rows = [row(2, 5e-4, hosts=1), row(2 * hosts, round_seconds, hosts=hosts)]
    return round_model.section(rows, link, books)


def assert_valid(section: dict[str, Any]) -> None:
    jsonschema.validate(section, SCHEMA["properties"]["round"] | {"$defs": SCHEMA["$defs"]})


def test_round_is_the_sum_of_its_parts() -> None:
    """With books that cost a microsecond for each rank, and messages of 418 bytes there and back."""

    def network(ranks: int) -> float:
        return 2 * math.ceil(math.log2(ranks)) * 1e-5 + ranks * 418 / 1e9

    own = 1e-3 - 4e-6 - network(4)
    made = section()
    assert_valid(made)
    for modelled in made["model"]:
        ranks = modelled["ranks"]
        assert modelled["planner_seconds"] == pytest.approx(ranks * 1e-6)
        assert modelled["network_seconds"] == pytest.approx(network(ranks))
        assert modelled["round_seconds"] == pytest.approx(own + ranks * 1e-6 + network(ranks))


costs = st.floats(1e-7, 1e-1)


@given(costs, costs, st.floats(1e5, 1e11), st.tuples(costs, costs, costs).map(lambda t: tuple(sorted(t))))
def test_more_ranks_cost_more_and_rounds_grow_so_that_most_of_the_time_is_spent_counting(
    round_seconds: float, latency: float, bytes_per_second: float, planner: tuple[float, ...]
) -> None:
    made = section(round_seconds, latency, bytes_per_second, planner)
    modelled = [each["round_seconds"] for each in made["model"]]
    assert modelled == sorted(modelled)
    for each in made["model"]:
        # Rounds last a second at least, and a hundred times half of what they cost.
        assert each["efficiency"] + 1e-9 > 50 / 51
        assert each["efficiency"] >= 1 / (1 + each["round_seconds"]) - 1e-9
        assert each["efficiency"] < 1
        # It matters from the first power of two on where it costs ten milliseconds.
        matters_from = made["matters_from_ranks"] or 2 * round_model.MAX_RANKS
        if each["ranks"] >= matters_from:
            assert each["round_seconds"] > 0.01
        elif each["ranks"] <= matters_from // 2:
            assert each["round_seconds"] <= 0.01


def test_slow_manager_matters_early() -> None:
    # 10 microseconds a rank: 512 of them are 5 ms, 1024 are 10.24; the rest of the round takes less than 1.
    assert section(planner=(1e-2, 1e-1, 1.0))["matters_from_ranks"] == 1024


def test_text_keeps_the_model_apart_from_what_was_measured() -> None:
    said = text_of(section())
    measured, model = said.split("\nmodel, not measured:\n")
    assert "Slowest link = 10 µs, 1e+03 MB/s, to node1" in measured
    assert "100000" in measured
    assert "1000000" not in measured
    assert "1000000" in model
    assert all(f"- {assumption}" in model.splitlines() for assumption in section()["assumptions"])
    assert any("latency of the link to node1" in line for line in model.splitlines())
    assert max(map(len, said.splitlines())) <= 110


def test_with_one_rank_there_is_nothing_to_model() -> None:
    made = round_model.section([row(1, 1e-3, hosts=1)], None, [row(1000, 1e-3)])
    assert_valid(made)
    assert made["model"] == made["assumptions"] == []
    assert made["matters_from_ranks"] is None
    assert "model" not in text_of(made)


def test_manager_is_timed_in_rounds_that_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[tuple[int, int]] = []
    book = Manager.next

    def watched(planner: Manager, reports: NDArray[np.int64]) -> NDArray[np.int64]:
        orders = book(planner, reports)
        assert (orders[:, Assignment.DONE] == reports[:, WorkResult.UNITS].sum()).all()
        assert (orders[:, Assignment.STOP] > orders[:, Assignment.START]).all()  # there is work for all
        rounds.append((len(reports), planner.counted.points))
        return orders

    monkeypatch.setattr(Manager, "next", watched)
    monkeypatch.setattr(manager, "RANKS", (3, 200))
    shown: list[float] = []
    made = manager.measure(False, shown.append)
    assert shown == [0.5, 1.0]
    assert [each["ranks"] for each in made] == [3, 200]
    assert all(len(each["seconds"]["samples"]) == manager.QUICK_TURNS for each in made)
    assert [ranks for ranks, _ in rounds] == [3] * (manager.QUICK_TURNS + 1) + [200] * (
        manager.QUICK_TURNS + 1
    )


def test_round_text_imports_nothing_heavy() -> None:
    code = (
        "import sys, mpi_pi.report.bench.rounds, mpi_pi.report.bench.scaling;"
        "print({'numpy', 'numba', 'mpi4py'} & {*sys.modules})"
    )
    got = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert got == "set()\n"
