"""Checks beside an earlier one: what is worse beyond noise is a fault, and nothing else is."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_pi.check.changes import BANDWIDTH, CLOCK, LATENCY, RATE, Baseline, Metric, changes
from mpi_pi.check.diagnosis import findings
from mpi_pi.check.hosts import RankFacts, group_by_host
from mpi_pi.check.rules import baseline as rules
from mpi_pi.check.rules.network import SLOW
from mpi_pi.check.rules.speed import MIN_CLOCK_SHARE, MIN_SHARE
from mpi_pi.findings import sentences
from mpi_pi.report import check as check_report
from mpi_pi.report import plain
from support.health import Change, at, both, every, healthy, on, without

DATE = "2026-11-20T14:00:00+00:00"

Scaled = Callable[[float], Change]

SCALED: dict[Metric, tuple[Scaled, float]] = {
    RATE: (lambda times: on("node2", points_per_cpu_second=1.1e8 * times), MIN_SHARE),
    CLOCK: (lambda times: on("node2", loaded={"mhz": 1500 * times}), MIN_CLOCK_SHARE),
    LATENCY: (lambda times: on("node2", link={"latency_seconds": 2e-4 / times}), 1 / SLOW),
    BANDWIDTH: (lambda times: on("node2", link={"bytes_per_second": 1.1e8 * times}), 1 / SLOW),
}
"""By metric: a change of node2 that makes it so many times as good, and the bound of what noise explains."""


def then(change: Change = lambda rows: rows, date: str = DATE) -> Baseline:
    return Baseline(date, tuple(group_by_host(list(change(healthy())))))


def found(change: Change, baseline: Baseline | None = None) -> list[tuple[str, str]]:
    """Return severity and text of what the rules on the baseline find after a change of healthy hosts."""
    hosts = group_by_host(list(change(healthy())))
    return [
        (rule.severity, text)
        for rule in rules.RULES
        for _, text in sentences(rule, rule.find(hosts, baseline or then()))
    ]


def times_of(metric: Metric, change: Change) -> float:
    hosts = group_by_host(list(change(healthy())))
    (one,) = (each for each in changes(hosts, then()) if (each.host, each.metric) == ("node2", metric))
    return one.times


def test_equal_check_is_no_finding() -> None:
    for hosts in (1, 2, 8):
        now = group_by_host(healthy(hosts))
        assert findings(now, Baseline(DATE, tuple(now))) == []
        assert {change.times for change in changes(now, Baseline(DATE, tuple(now)))} == {1.0}


@pytest.mark.parametrize("metric", SCALED, ids=lambda metric: metric.name)
@settings(max_examples=25)
@given(factor=st.floats(0.01, 0.999))
def test_worse_than_the_bound_is_always_a_fault(metric: Metric, factor: float) -> None:
    scaled, bound = SCALED[metric]
    ((severity, text),) = found(scaled(bound * factor))
    assert severity == "fault"
    assert text.startswith("node2 (")
    assert "than on 2026-11-20" in text
    assert times_of(metric, scaled(bound * factor)) == pytest.approx(bound * factor)


@pytest.mark.parametrize("metric", SCALED, ids=lambda metric: metric.name)
@settings(max_examples=25)
@given(share=st.floats(0.001, 1))
def test_worse_within_the_bound_is_never_a_fault(metric: Metric, share: float) -> None:
    scaled, bound = SCALED[metric]
    assert found(scaled(bound + share * (1 - bound))) == []


@settings(max_examples=25)
@given(factors=st.lists(st.floats(1, 100), min_size=4, max_size=4))
def test_improved_is_never_a_fault(factors: list[float]) -> None:
    for (scaled, _), factor in zip(SCALED.values(), factors, strict=True):
        assert found(scaled(factor)) == []


@settings(max_examples=25)
@given(factor=st.floats(0.01, 0.69), others=st.floats(0.71, 2))
def test_worst_change_comes_first(factor: float, others: float) -> None:
    slower = both(every(points_per_cpu_second=1.1e8 * others), SCALED[RATE][0](factor))
    first = changes(group_by_host(list(slower(healthy()))), then())[0]
    assert (first.host, first.metric) == ("node2", RATE)


# What has changed, and its severity and sentence.
SENTENCES: dict[str, tuple[Change, str, str]] = {
    "rate": (
        SCALED[RATE][0](0.5),
        "fault",
        "node2 (220 of 440 million points/s of CPU time): slower than on 2026-11-20: see to cooling",
    ),
    "clock": (SCALED[CLOCK][0](0.5), "fault", "node2 (750 of 1500 MHz): a lower clock than on 2026-11-20"),
    "latency": (SCALED[LATENCY][0](0.1), "fault", "node2 (2000 after 200 us): a higher latency to rank 0"),
    "bandwidth": (SCALED[BANDWIDTH][0](0.1), "fault", "node2 (11 of 110 MB/s): a lower bandwidth to rank 0"),
    "governor": (
        on("node2", machine={"governor": "powersave"}),
        "fault",
        "node2 (governor powersave, not performance): its clock is limited more than on 2026-11-20: ",
    ),
    "turbo": (on("node2", machine={"turbo": False}), "fault", "node2 (no turbo): its clock is limited more"),
    "limit": (
        on("node2", machine={"limit_mhz": 1000}),
        "fault",
        "node2 (1000, not 1500 MHz): its clock is limited",
    ),
    "memory": (
        on("node2", machine={"memory_bytes": 4 << 30}),
        "note",
        "node2 (4.29 GB of memory, not 8.59): other hardware than on 2026-11-20",
    ),
    "cores": (on("node2", machine={"cores": 2}), "note", "node2 (2 cores, not 4): other hardware"),
    "CPU": (
        on("node2", machine={"cpu": "Raspberry Pi 5"}),
        "note",
        "node2 (Raspberry Pi 5, aarch64, not Raspberry Pi 4 Model B, aarch64): other hardware",
    ),
    "numba": (
        on("node2", software={"numba": "0.61.0"}),
        "note",
        "node2 (0.61.0): another numba than on 2026-11-20, 0.68.1: ",
    ),
    "new host": (on("node3", host="node9"), "note", "node9: not in the baseline: make a new one"),
    "missing host": (without(*range(4, 8)), "note", "node2: in the baseline, but not among the hosts"),
    "busy": (
        both(on("node2", core_share=0.5), SCALED[BANDWIDTH][0](0.01)),
        "note",
        "node2 (MB/s 1.1 after 110.0): a slower link to rank 0 than on 2026-11-20, but too busy to judge it",
    ),
    "fewer ranks": (
        without(7),
        "note",
        "node2 (3 with numba, not 4 with numba): not as many ranks as on 2026-11-20",
    ),
    "other rank 0": (
        lambda rows: [*rows[4:8], *rows[:4], *rows[8:]],
        "note",
        "node2: rank 0 was on node1 on 2026-11-20: links cannot be compared",
    ),
}

SET = {"governor": "performance", "turbo": True, "limit_mhz": 1500.0, "memory_bytes": 8 << 30}
"""What the hosts of the baseline are set to."""


@pytest.mark.parametrize("case", SENTENCES)
def test_change_is_found_and_described(case: str) -> None:
    change, severity, start = SENTENCES[case]
    listed = found(both(every(machine=SET), change), then(every(machine=SET)))
    # A missing host goes with a new one if a host has another name.
    assert [one for one in listed if one[0] == severity and one[1].startswith(start)], listed
    assert {one[0] for one in listed} == {severity}


def test_all_rules_are_tested() -> None:
    baseline, silent = then(every(machine=SET)), set(rules.RULES)
    for change, *_ in SENTENCES.values():
        hosts = group_by_host(list(both(every(machine=SET), change)(healthy())))
        silent -= {rule for rule in silent if list(rule.find(hosts, baseline))}
    assert not silent


@pytest.mark.parametrize(
    "change",
    [
        # What cannot be judged: links on shared cores, that of rank 0's host, and through another host.
        both(on("node2", core_share=0.5), SCALED[BANDWIDTH][0](0.01)),
        both(at(0, core_share=0.5), SCALED[LATENCY][0](0.01)),
        on("node1", link={"bytes_per_second": 1e6, "latency_seconds": 1e-2}),
        # A rate for wall time, which other processes change.
        on("node2", points_per_second=1e7, core_share=0.1),
        # A rate for CPU time on cores whose hardware threads others have used.
        both(on("node2", core_share=0.5, machine={"cpus": 4}), on("node2", points_per_cpu_second=0.99e8)),
        # What the system does not tell now.
        every(machine=dict.fromkeys(SET)),
    ],
)
def test_what_cannot_be_judged_is_no_fault(change: Change) -> None:
    assert [one for one in found(change, then(every(machine=SET))) if one[0] == "fault"] == []


def test_latency_that_is_low_all_the_same_is_no_fault() -> None:
    baseline = then(on("node2", link={"latency_seconds": 1e-5}))
    assert found(on("node2", link={"latency_seconds": 9e-5}), baseline) == []
    assert len(found(on("node2", link={"latency_seconds": 1.1e-4}), baseline)) == 1


def test_shared_hardware_threads_get_a_wider_bound() -> None:
    threads: dict[str, Any] = {"cores": 2, "cpus": 4}
    baseline = then(every(machine=threads))
    for share, expected in ((0.99, ["fault"]), (0.5, [])):
        slower = on("node2", machine=threads, core_share=share, points_per_cpu_second=0.6 * 1.1e8)
        now = both(every(machine=threads), slower)
        assert [severity for severity, _ in found(now, baseline)] == expected


def test_more_changes_than_a_screen_holds_are_counted() -> None:
    hosts = group_by_host(list(on("node77", points_per_cpu_second=1e7)(healthy(hosts=100))))
    baseline = Baseline(DATE, tuple(group_by_host(healthy(hosts=100))))
    text = plain.text(check_report.blocks(hosts, findings(hosts, baseline), baseline))
    assert "Baseline = 2026-11-20T14:00:00+00:00, 100 of 100 hosts\n" in text
    first = text[text.index("times as good") :].splitlines()[1]
    assert first.split() == [
        "node77",
        "points/s",
        "of",
        "CPU",
        "time",
        "4.400e+08",
        "4.000e+07",
        "0.09",
        "0.70",
    ]
    assert "(the 40 worst of 400 changes, --csv FILE has them all; " in text
    assert text.endswith("Fit = no, 1 fault\n")


def test_baseline_without_date_is_called_the_baseline() -> None:
    ((_, text),) = found(SCALED[RATE][0](0.5), then(date=""))
    assert "slower than in the baseline: " in text


def test_unreachable_hosts_are_compared_as_far_as_known() -> None:
    rows = healthy()
    rows[4:8] = [RankFacts(rank, f"host of rank {rank}", reachable=False) for rank in range(4, 8)]
    texts = [text for _, text in found(lambda _: rows)]
    assert any(text.startswith("node2: in the baseline") for text in texts)
