"""Rules on a burn-in, on made-up ones."""

from dataclasses import replace

import pytest

from mpi_pi.burn_in import comparison, rules
from mpi_pi.burn_in.diagnosis import RULES, RULES_ON_ALL, faults, findings
from support.burn_ins import CASES, FAULTS, NOTES, RATE, Change, at, both, healthy, of_host, on, wrong


def test_healthy_hosts_have_no_findings() -> None:
    for hosts, ranks in ((1, 2), (1, 4), (2, 1), (4, 4), (8, 3)):
        assert findings(healthy(hosts, ranks)) == []


@pytest.mark.parametrize("case", CASES)
def test_fault_is_found_and_described(case: str) -> None:
    change, start, also = CASES[case]
    (finding,) = found = findings(change(healthy()))
    assert finding.text.startswith(start)
    assert also in finding.text
    assert all(host in finding.text for host in finding.hosts)
    assert finding.severity == ("fault" if case in FAULTS else "note")
    assert faults(found) == (case not in NOTES)


def test_all_rules_are_tested() -> None:
    silent = {*RULES, *RULES_ON_ALL} - {rules.unaudited}  # which no burn-in of several ranks has
    for change, *_ in CASES.values():
        burn_in = change(healthy())
        silent -= {rule for rule in silent for outcome in burn_in.phases if list(rule.find(burn_in, outcome))}
    assert not silent


@pytest.mark.parametrize(
    "change",
    [
        at(5, points_per_second=0.85 * RATE),
        at(5, core_share=0.71),
        on(1, celsius=99.0),
        on(1, throttled_seconds=None, throttle_events=None, under_voltage=None),
        # A slow rank where that is in order, on a small core.
        both(of_host(1, cores_alike=False), at(5, points_per_second=0.5 * RATE)),
        # The rates at the beginning and the end of a phase in which cores take turns.
        both(*(at(rank, "alone", last_points_per_second=0.1 * RATE) for rank in range(4, 8))),
        both(*(at(rank, last_points_per_second=None) for rank in range(4, 8))),
    ],
)
def test_harmless_difference_is_no_finding(change: Change) -> None:
    assert findings(change(healthy())) == []


def test_single_rank_is_told_that_nobody_counts_again() -> None:
    (finding,) = findings(healthy(1, 1))
    assert finding.severity == "note"
    assert finding.text.startswith("node1: a single rank")
    assert list(rules.unaudited.find(replace(healthy(1, 1), audit=0.0), healthy(1, 1).phases[0])) == []


def test_short_phase_says_nothing_of_heat() -> None:
    slower = both(*(at(rank, last_points_per_second=0.5 * RATE) for rank in range(4, 8)))
    assert findings(slower(healthy(seconds=20))) == []
    assert faults(findings(slower(healthy(seconds=40)))) == 1


def test_core_is_slow_whether_or_not_others_use_it() -> None:
    for core_share in (None, 0.71, 1.0):
        (finding,) = findings(at(5, points_per_second=0.5 * RATE, core_share=core_share)(healthy()))
        assert "only this share of the rate of its twins" in finding.text


def test_ranks_of_a_crowded_host_are_not_called_slow() -> None:
    crowded = both(of_host(1, oversubscribed=True), at(5, points_per_second=0.5 * RATE, core_share=0.5))
    assert [finding.phase for finding in findings(crowded(healthy()))] == [""]


def test_single_ranks_of_hosts_alike_are_twins() -> None:
    """A rank with threads on each host; a host of another kind has no twins."""
    slow = at(2, points_per_second=0.7 * RATE)
    (finding,) = findings(slow(healthy(hosts=4, ranks=1)))
    assert finding.hosts == ("node3",)
    assert findings(both(slow, of_host(2, cpu="Raspberry Pi 3"))(healthy(hosts=4, ranks=1))) == []


def test_findings_of_each_phase_are_apart() -> None:
    everywhere = both(*(on(1, name, throttled_seconds=1.0) for name in ("steady", "alone", "pulsed")))
    found = findings(everywhere(healthy()))
    assert [finding.phase for finding in found] == ["steady", "alone", "pulsed"]


def test_throttling_for_lack_of_voltage_is_told_from_heat() -> None:
    low = on(1, throttled_seconds=5.0, under_voltage=True)
    voltage, throttling = findings(low(healthy()))
    assert "the voltage was too low" in voltage.text
    assert throttling.text.endswith("first of all, after the power supply")


def test_many_hosts_share_a_sentence() -> None:
    slow = {4 * host: 0.5 for host in range(3, 150)}
    found = findings(healthy(hosts=200, slow=slow))
    assert [finding.phase for finding in found] == ["steady", "alone", "pulsed"]
    assert found[0].text.startswith("all cores: node4 (rank 12 on core 0: 49%), ")
    assert " and 139 more: only this share" in found[0].text
    assert len(found[0].hosts) == 147


def test_both_wrong_ranks_of_a_host_are_named() -> None:
    (finding,) = findings(both(wrong(5), wrong(6, 120))(healthy()))
    assert (
        "node2 (rank 5 on core 1: 3 of 120 units), node2 (rank 6 on core 2: 120 of 120 units)" in finding.text
    )
    assert finding.hosts == ("node2",)


def test_burn_in_that_ended_before_its_first_phase_has_no_findings() -> None:
    assert findings(replace(healthy(), phases=(), stopped="SIGTERM")) == []


def test_shares_are_those_of_the_median_of_others() -> None:
    assert comparison.shares_of_others({"a": 2.0, "b": 4.0, "c": 6.0}) == {"a": 0.4, "b": 1.0, "c": 2.0}
    assert comparison.shares_of_others({"a": 2.0}) == {}
    assert comparison.shares_of_others({}) == {}
