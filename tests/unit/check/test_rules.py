"""Health rules, on made-up rows of a check."""

from typing import Any

import pytest

from mpi_pi.check import document
from mpi_pi.check.diagnosis import RULES, findings, fit
from mpi_pi.check.hosts import RankFacts, group_by_host
from mpi_pi.report import check as check_report
from mpi_pi.report import plain
from support.health import CASES, FAULTS, NOTES, Change, at, both, bound, docker, every, healthy, on


def test_healthy_cluster_has_no_findings() -> None:
    for hosts in (1, 2, 4, 8):
        assert findings(group_by_host(healthy(hosts))) == []
    assert fit([])


@pytest.mark.parametrize("case", CASES)
def test_fault_is_found_and_described(case: str) -> None:
    change, start, also = CASES[case]
    (finding,) = found = findings(group_by_host(list(change(healthy()))))
    assert finding.text.startswith(start)
    assert also in finding.text
    assert all(host in finding.text for host in finding.hosts)
    assert finding.severity == ("fault" if case in FAULTS else "note")
    assert fit(found) == (case in NOTES)


def test_all_rules_are_tested() -> None:
    silent = set(RULES)
    for change, *_ in CASES.values():
        hosts = group_by_host(list(change(healthy())))
        silent -= {rule for rule in silent if list(rule.find(hosts))}
    assert not silent


@pytest.mark.parametrize(
    "change",
    [
        on("node2", software={"python": "3.11.9"}),
        on("node2", machine={"cpu": "Raspberry Pi 4 Model B Rev 1.1"}),
        on("node2", points_per_second=7.5e7),
        on("node2", loaded={"mhz": 1300}),
        on("node2", core_share=0.8),
        on("node2", link={"latency_seconds": 5e-4, "bytes_per_second": 5e7, "skew_seconds": 0.5}),
        # What the system does not tell.
        every(loaded={"mhz": None, "throttling": None}, machine={"max_mhz": None}, core_share=None),
        # A slow rank where that is in order, on a small core.
        both(on("node2", machine={"cores_alike": False}), at(5, points_per_second=5e7)),
        # Ranks bound to a core each.
        bound(2, 0, 1, 3),
        # An x86 that has never been too hot.
        every(
            idle={"throttling": None, "throttle_events": 0}, loaded={"throttling": None, "throttle_events": 0}
        ),
    ],
)
def test_harmless_difference_is_no_finding(change: Change) -> None:
    assert findings(group_by_host(list(change(healthy())))) == []


def test_host_is_measured_by_its_twins_alone() -> None:
    """A Raspberry Pi 3 among others is no slow 4; the slow one of two Raspberry Pi 3 is a slow 3."""
    of_3: dict[str, Any] = {"machine": {"cpu": "Raspberry Pi 3 Model B Rev 1.2"}, "points_per_second": 3e7}
    rows = list(on("node3", "node4", **of_3)(healthy()))
    assert {finding.severity for finding in findings(group_by_host(rows))} == {"note"}
    rows = list(on("node4", points_per_second=1e7)(rows))
    faults = [finding for finding in findings(group_by_host(rows)) if finding.severity == "fault"]
    assert [finding.hosts for finding in faults] == [("node4",)]


def test_host_of_unknown_rate_is_not_called_slow() -> None:
    rows = list(both(at(5, points_per_second=None), at(6, points_per_second=None))(healthy()))
    hosts = group_by_host(rows)
    assert [host.name for host in hosts if host.points_per_second is None] == ["node2"]
    assert findings(hosts) == []


def test_faults_come_first() -> None:
    rows = list(both(on("node2", link={"skew_seconds": 5.0}), at(9, right=False))(healthy()))
    assert [finding.severity for finding in findings(group_by_host(rows))] == ["fault", "note"]


def test_findings_of_other_hosts_remain_if_a_host_is_silent() -> None:
    rows = healthy()
    rows[4:8] = [RankFacts(rank, f"host of rank {rank}", reachable=False) for rank in range(4, 8)]
    hosts = group_by_host(rows)
    (fault,) = findings(hosts)
    assert fault.text.startswith("host of rank 4 (rank 4), host of rank 5 (rank 5), ")
    assert "host of rank 4" in plain.text(check_report.blocks(hosts, [fault]))
    document.dumps(hosts, [fault])


def test_address_is_that_of_the_common_network() -> None:
    wireless = {"interfaces": (("wlan0", "10.0.0.7/8"), *docker(101)["interfaces"])}
    rows = list(both(on("node1", machine=wireless), on("node2", machine=docker(120)))(healthy()))
    expected = ["192.168.1.101", "192.168.1.120", "192.168.1.103", "192.168.1.104"]
    assert [host.address for host in group_by_host(rows)] == expected


def test_thousand_hosts_fit_two_screens() -> None:
    """And those that something is wrong with are among the ones that are shown."""
    rows = healthy(hosts=1000, ranks=2)
    rows = list(on("node977", points_per_second=4e7)(rows))
    rows = list(on(*[f"node{number}" for number in range(500, 600)], software={"numba": "0.61.0"})(rows))
    hosts = group_by_host(rows)
    found = findings(hosts)
    text = plain.text(check_report.blocks(hosts, found))
    assert "node977 (40%): " in text
    assert "node500 (0.61.0), node501 (0.61.0), " in text
    assert " and 92 more: another numba" in text
    assert "(20 of 1000 hosts; --json FILE holds them all)" in text
    assert len(text.splitlines()) < 85
    assert text.endswith("Fit = no, 1 fault\n")
    assert text.isascii()
    tables = [line for line in text.splitlines() if line.startswith("node") and ": " not in line]
    assert max(map(len, tables)) <= 110
