"""Differences between the versions of hosts, judged alike by every command."""

import sys
from dataclasses import asdict, replace
from typing import Any

import pytest

from mpi_pi.check.diagnosis import findings, fit
from mpi_pi.check.hosts import group_by_host
from mpi_pi.cluster import deploy, preflight
from mpi_pi.cluster.host import Host
from mpi_pi.cluster.platforms import Platform
from mpi_pi.report import deployment, plain
from mpi_pi.system import versions
from support.health import SOFTWARE, healthy

OWN: dict[str, Any] = {
    "problem": "",
    "there": True,
    "stream": "1",
    "version": "0.1.0",
    "sources": "3f2a9c01be77",
}
OWN |= {
    "python": "3.11.2",
    "numpy": "2.4.6",
    "numba": "0.68.1",
    "mpi4py": "4.1.2",
    "launcher": "Open MPI 5.0.11",
}

DIFFERENCES: list[tuple[str, dict[str, str], dict[str, Any], bool]] = [
    ("Python", {"python": "3.13.1"}, {"python": "3.13.1"}, False),
    ("NumPy", {"numpy": "1.26.4"}, {"numpy": "1.26.4"}, False),
    ("numba", {"numba": "0.61.0"}, {"numba": "0.61.0"}, False),
    ("mpi4py", {"mpi4py": "4.0.0"}, {"mpi4py": "4.0.0"}, False),
    ("MPI", {"launcher": "Open MPI 5.0.10"}, {"mpi": "Open MPI v5.0.10"}, True),
    ("mpi-pi", {"version": "0.2.0"}, {"package": "0.2.0"}, True),
    ("mpi-pi", {"stream": "2"}, {"stream": 2}, True),
    ("mpi-pi", {"sources": "0"}, {"sources": "0"}, True),
]


@pytest.mark.parametrize(("what", "told", "software", "matters"), DIFFERENCES)
def test_check_hosts_and_check_agree(
    what: str, told: dict[str, str], software: dict[str, Any], matters: bool
) -> None:
    """An obstacle to check-hosts is a fault to check, and nothing else is."""
    obstacles = list(preflight.differences(OWN | told, OWN, "make deploy"))
    remarks = list(versions.harmless(OWN | told, OWN))
    rows = [
        replace(row, software=replace(SOFTWARE, **software)) if row.host == "node4" else row
        for row in healthy()
    ]
    found = findings(group_by_host(rows))
    (finding,) = found
    assert f"another {what} than on most hosts" in finding.text
    assert (len(obstacles), len(remarks)) == ((1, 0) if matters else (0, 1))
    assert fit(found) == (not matters)
    if not matters:
        assert versions.NO_OBSTACLE in remarks[0]
        assert finding.text.endswith(versions.NO_OBSTACLE)


def test_patch_releases_of_python_do_not_differ() -> None:
    rows = [replace(row, software=replace(SOFTWARE, python=f"3.11.{row.rank}")) for row in healthy()]
    assert findings(group_by_host(rows)) == []
    assert list(versions.harmless(OWN | {"python": "3.11.9"}, OWN)) == []


def test_deploy_agrees_with_check() -> None:
    ours, other = (deploy.Target(Host(name)) for name in ("node1", "node2"))
    own = ".".join(map(str, sys.version_info[:3]))
    ours.platform, other.platform = (
        Platform(own, "x86_64", "2.36"),
        Platform("3.99.1", "x86_64", "2.36"),
    )
    ours.outcome = other.outcome = "installed"
    report = plain.text(deployment.blocks([ours, other]))
    assert (
        f"node2: note: it has Python 3.99, and the client {versions.minor(own)}, {versions.NO_OBSTACLE}"
        in report
    )
    assert report.count("note:") == 1
    assert report.endswith("Ready = 2 of 2 hosts\n")


def test_every_version_that_is_told_has_a_rule() -> None:
    """Exceptions are the size of a pointer, and two that go with the version of mpi-pi."""
    keys = {*versions.MUST_MATCH.values(), *versions.MAY_DIFFER.values()}
    assert set(asdict(SOFTWARE)) - {"bits", "sources", "stream"} == keys
