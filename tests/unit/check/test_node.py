"""Examination of a node alone: its rules, its measurements, and what keeps it from measuring."""

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpi_pi.check import cores, diagnosis, node
from mpi_pi.check.cores import Work
from mpi_pi.check.hosts import group_by_host
from mpi_pi.check.node import Node
from mpi_pi.errors import RunError
from mpi_pi.kernel.loader import NOT_EXECUTABLE, Kernel
from mpi_pi.report import node as report
from mpi_pi.report import plain
from mpi_pi.system import activity, machine, sensors, slurm
from support.health import COOL, NO_NUMBA, PI, Change, at, both, healthy, on

READINGS = sensors.read(Path("/no/such/root"))
CORES = machine.online()


def alone(change: Change | None = None, **facts: Any) -> Node:
    """Return a node with four cores, changed."""
    rows = [replace(row, cpus=(row.rank,), link=None) for row in healthy(hosts=1)]
    (host,) = group_by_host(list(change(rows)) if change else rows)
    return replace(Node(host, READINGS, cache_folder="/var/tmp", free_bytes=1 << 40), **facts)


def last_line(one: Node) -> str:
    return plain.text(report.blocks(one, diagnosis.node_findings(one))).splitlines()[-1]


FAULTS: dict[str, tuple[Node, str]] = {
    "wrong answer": (alone(at(2, right=False)), "node1 (core 2): the known answers are counted wrong"),
    "lost memory": (
        alone(readings=READINGS._replace(uncorrected_errors=2)),
        "node1 (2): memory errors that could not be corrected",
    ),
    "stolen time": (
        alone(at(1, core_share=0.15)),
        "node1 (15%): a program on each core gets only this share",
    ),
    "slow core": (alone(at(3, points_per_second=5e7)), "node1 (core 3: 50%): only this share of the rate"),
    "throttled": (
        alone(on("node1", loaded={"throttling": 0x4})),
        "node1 (throttled): the CPU is slowed down",
    ),
}
QUOTA = ("/sys/fs/cgroup/a/cpu.max", 1.6)
NOTES: dict[str, tuple[Node, str]] = {
    "busy": (alone(busy="job step 7.0"), "node1 (job step 7.0): busy with the work of others"),
    "starved cores": (alone(starved=(4, 5)), "node1 (cores 4-5): these cores had no time"),
    "quota": (
        alone(on("node1", machine={"cpu_quota": QUOTA})),
        "node1 (1.6 cores): this program may use only",
    ),
    "cpuset": (alone(forbidden=(7,)), "node1 (core 7): this program may not use these cores"),
    "no numba": (
        alone(on("node1", kernel="numpy", kernel_warning=NO_NUMBA)),
        f"node1: {NO_NUMBA}, so that its speed was not measured: let numba compile there",
    ),
    "not compiled": (alone(on("node1", kernel="numpy")), "node1: its kernel was not compiled in time"),
    "not executable": (
        alone(on("node1", kernel="numpy", kernel_warning=f"{NOT_EXECUTABLE} (x)")),
        f"node1: {NOT_EXECUTABLE} (x), so that its speed was not measured: allow it there",
    ),
    "corrected memory": (
        alone(readings=READINGS._replace(corrected_errors=3, module_errors={"A1": 3, "B1": 0})),
        "node1 (3 in A1): memory errors since it was switched on",
    ),
    "full disk": (alone(free_bytes=5 << 20), "node1 (5 MiB): little space is left in /var/tmp"),
    "no cache": (
        alone(on("node1", kernel_warning="compile cache not used: x")),
        "node1: compile cache not used",
    ),
    "throttled earlier": (
        alone(on("node1", loaded={"throttling": 0x40000})),
        "node1 (throttled): the CPU has been",
    ),
}


def test_healthy_node_has_no_findings() -> None:
    assert diagnosis.node_findings(alone()) == []
    assert last_line(alone()) == "Fit = yes"


@pytest.mark.parametrize("one", FAULTS)
def test_fault_is_the_verdict(one: str) -> None:
    faulty, beginning = FAULTS[one]
    (found,) = diagnosis.node_findings(faulty)
    assert (found.severity, found.hosts) == ("fault", ("node1",))
    assert found.text.startswith(beginning)
    assert last_line(faulty) == f"Fit = no: {found.text}"


@pytest.mark.parametrize("one", NOTES)
def test_what_is_no_fault_of_the_node_is_a_note(one: str) -> None:
    noted, beginning = NOTES[one]
    (found,) = diagnosis.node_findings(noted)
    assert (found.severity, found.hosts) == ("note", ("node1",))
    assert found.text.startswith(beginning)
    assert last_line(noted) == "Fit = yes"


def test_first_of_several_faults_is_the_verdict() -> None:
    two = alone(both(at(2, right=False), at(3, points_per_second=5e7)), busy="programs")
    assert last_line(two).startswith("Fit = no: node1 (core 2): the known answers")


def test_cores_that_are_not_alike_are_not_compared() -> None:
    change = both(on("node1", machine={"cores_alike": False}), at(3, points_per_second=5e7))
    assert diagnosis.node_findings(alone(change)) == []


def test_verdict_says_that_the_speed_was_not_measured() -> None:
    assert (
        last_line(alone(on("node1", points_per_second=None, core_share=None)))
        == "Fit = yes, speed not measured"
    )


@pytest.mark.parametrize(
    ("one", "measurable"),
    [
        (alone(), True),
        (alone(busy="programs"), False),
        (alone(starved=(1,)), False),
        (alone(at(1, right=False)), False),
        (alone(on("node1", machine={"cpu_quota": QUOTA})), False),
        (alone(on("node1", machine={"cpu_quota": ("/x", 4.0)})), True),
        (alone(on("node1", kernel="numpy")), False),
    ],
)
def test_speed_is_measured_only_where_that_tells_of_the_node(one: Node, measurable: bool) -> None:
    assert one.measurable == measurable


def test_work_of_others_is_told_by_cores_and_steps() -> None:
    assert node.work_of_others({0: 0.15, 1: 0.1}, []) == ""
    assert node.work_of_others({0: 0.9, 1: 0.1}, []) == "programs on 1 of 2 cores"
    assert node.work_of_others({}, ["7.0", "7.1", "8.0", "9.0"]) == "job step 7.0, 7.1, 8.0 and 1 more"
    assert node.work_of_others({0: 0.9}, ["7.0"]) == "job step 7.0 and programs on 1 of 1 core"


Rates = list[tuple[dict[int, float], float]]
"""Rates of the cores, and the share of each that others take, of one measurement after the other."""


def examined(monkeypatch: pytest.MonkeyPatch, compiled: Kernel, rates: Rates) -> tuple[Node, int]:
    """Return the node as examined with measurements of these results, and how many there were."""
    todo = iter(rates)
    used = 0

    def measure(_: Kernel, numbers: list[int], seconds: float) -> tuple[dict[int, Work], Mapping[int, float]]:
        nonlocal used
        used += 1
        of_cores, others = next(todo)
        return {core: Work(round(rate), 1.0, 1.0) for core, rate in of_cores.items()}, dict.fromkeys(
            numbers, others
        )

    monkeypatch.setattr(node, "load", lambda *_: compiled)
    monkeypatch.setattr(cores, "usable", lambda _: [0, 1])
    monkeypatch.setattr(cores, "known_answers", lambda *_: {0: True, 1: True})
    monkeypatch.setattr(cores, "rates", measure)
    monkeypatch.setattr(activity, "sample", lambda _: {})
    monkeypatch.setattr(machine, "state", lambda: COOL)
    monkeypatch.setattr(machine, "online", lambda: [0, 1, 2])
    monkeypatch.setattr(machine, "machine", lambda: PI)
    monkeypatch.setattr(slurm, "other_steps", list)

    def is_faulty(one: Node) -> bool:
        return not diagnosis.fit(diagnosis.node_findings(one))

    return node.examine("auto", None, lambda _: None, is_faulty), used


def test_healthy_node_is_measured_once(monkeypatch: pytest.MonkeyPatch, compiled: Kernel) -> None:
    one, used = examined(monkeypatch, compiled, [({0: 1e9, 1: 1e9}, 0.0)])
    assert used == 1
    assert one.host.points_per_second == 2e9
    assert one.forbidden == (2,)


def test_slowness_that_passes_is_no_fault(monkeypatch: pytest.MonkeyPatch, compiled: Kernel) -> None:
    one, used = examined(monkeypatch, compiled, [({0: 1e9, 1: 1e8}, 0.0), ({0: 1e8, 1: 1e9}, 0.0)])
    assert used == 2
    assert diagnosis.fit(diagnosis.node_findings(one))


def test_slowness_that_lasts_is_a_fault(monkeypatch: pytest.MonkeyPatch, compiled: Kernel) -> None:
    one, used = examined(monkeypatch, compiled, 3 * [({0: 1e9, 1: 1e8}, 0.0)])
    assert used == 3
    assert last_line(one).startswith(f"Fit = no: {one.host.name} (core 1: 10%): only this share")


def test_node_that_becomes_busy_is_not_judged_by_its_speed(
    monkeypatch: pytest.MonkeyPatch, compiled: Kernel
) -> None:
    one, used = examined(monkeypatch, compiled, [({0: 1e9, 1: 1e8}, 0.0), ({0: 1e9, 1: 1e8}, 0.9)])
    assert used == 2
    assert one.busy == "programs on 2 of 2 cores"
    assert last_line(one) == "Fit = yes, speed not measured"


def test_node_without_time_for_any_core_is_not_examined(
    monkeypatch: pytest.MonkeyPatch, compiled: Kernel
) -> None:
    monkeypatch.setattr(cores, "known_answers", lambda *_: {})
    monkeypatch.setattr(node, "load", lambda *_: compiled)
    monkeypatch.setattr(activity, "sample", lambda _: {0: 1.0})
    monkeypatch.setattr(slurm, "other_steps", list)
    with pytest.raises(RunError, match="no core had time for the known answers: programs on 1 of 1 core"):
        node.examine("auto", None, lambda _: None, lambda _: False)


def test_thread_on_each_core_is_bound_to_it() -> None:
    before = os.sched_getaffinity(0)
    assert cores.usable([*CORES, 99_999]) == CORES
    assert cores.on_each(CORES, lambda: os.sched_getaffinity(0), 60) == {core: {core} for core in CORES}
    assert os.sched_getaffinity(0) == before


def test_thread_without_time_is_left_out() -> None:
    release = threading.Event()
    assert cores.on_each(CORES[:1], release.wait, 0.1) == {}
    release.set()


def test_error_in_a_thread_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        cores.on_each(CORES, lambda: 1 // 0, 60)


def test_rate_is_that_of_the_cpu_time(compiled: Kernel) -> None:
    work, others = cores.rates(compiled, CORES, 0.05)
    assert sorted(work) == CORES
    assert set(others) <= set(CORES)
    for done in work.values():
        assert done.points % (1 << 16) == 0
        assert done.rate == pytest.approx(done.points / max(done.cpu_seconds, 1e-9))
        assert 0 <= done.core_share <= 1


def test_better_work_has_the_higher_rate_and_share() -> None:
    one = cores.better(Work(100, 2.0, 1.0), Work(300, 10.0, 2.0))
    assert (one.rate, one.core_share) == (150, 0.5)
    assert cores.better(one, None) == one


def test_free_space_is_that_of_the_folder_above_one_that_is_missing(tmp_path: Path) -> None:
    free = node._free_bytes(tmp_path / "no" / "such")
    assert free is not None
    assert free > 0
