"""`mpi-pi check` on several hosts, some of which have faults."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import mpi_pi
from mpi_pi.system import package
from support.cluster import Cluster, booted, until
from support.faults import Faults
from support.launching import MPI_PI, MPIRUN, plain
from support.schemas import CHECK as SCHEMA

PACKAGE = package.FOLDER
CHECK = (MPI_PI, "check")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(3, "tc") as up:
        lines = "".join(f"{up.addresses[name]} slots=1\n" for name in up.nodes)
        (up.folder / "hosts.txt").write_text(lines)
        yield up


def on_all_hosts(cluster: Cluster, *command: str) -> list[str]:
    return [MPIRUN, "-hostfile", str(cluster.folder / "hosts.txt"), *command]


@dataclass
class Examined:
    """Result of `mpi-pi check`."""

    run: Any
    document: dict[str, Any]

    def said_of(self, host: str) -> list[str]:
        return [found["text"] for found in self.document["findings"] if host in found["hosts"]]


@pytest.fixture(scope="module")
def unwell(cluster: Cluster) -> Examined:
    """Check three hosts: node2 has another program and a slow cable, node3 a third of a core."""
    other = cluster.folder / "mpi_pi"
    shutil.copytree(PACKAGE, other, ignore=shutil.ignore_patterns("__pycache__"))
    version = other / "version.py"
    renumbered = re.sub(r'^__version__ = ".*"$', '__version__ = "9.9.9"', version.read_text(), flags=re.M)
    version.write_text(renumbered)
    slow_cable = "tc qdisc add dev eth0 root tbf rate 20mbit burst 16kb latency 200ms"
    for command in (["mount", "--bind", str(other), str(PACKAGE)], slow_cable.split()):
        assert cluster.run("node2", *command).returncode == 0
    cluster.limit("node3", 0.3)
    file = cluster.folder / "o.json"
    run = cluster.run(
        "client",
        *on_all_hosts(cluster, *CHECK, "--json", str(file)),
        env=plain(),
    )
    cluster.limit("node3", 100)
    for command in (["umount", str(PACKAGE)], ["tc", "qdisc", "del", "dev", "eth0", "root"]):
        assert cluster.run("node2", *command).returncode == 0
    return Examined(run, json.loads(file.read_text()))


def test_hosts_have_a_row_each(cluster: Cluster, unwell: Examined) -> None:
    jsonschema.validate(unwell.document, SCHEMA)
    assert unwell.run.returncode == 1
    assert "Hosts = 3, ranks = 3\n" in unwell.run.stdout
    for name in cluster.nodes:
        assert re.search(rf"^{name}  {re.escape(cluster.addresses[name])}  \S+ ", unwell.run.stdout, re.M)
        assert re.search(rf"^{name}  yes +yes +\d\.\d{{3}}e", unwell.run.stdout, re.M)
    assert [host["address"] for host in unwell.document["hosts"]] == [
        cluster.addresses[name] for name in cluster.nodes
    ]
    assert [host["link"] is None for host in unwell.document["hosts"]] == [True, False, False]


def test_another_version_is_said(unwell: Examined) -> None:
    (said,) = (text for text in unwell.said_of("node2") if "another mpi-pi" in text)
    assert said.startswith("node2 (9.9.9, stream 1, sources ")
    assert f"on most hosts, {mpi_pi.__version__}, stream 1" in said


def test_host_that_is_slowed_down_is_said(unwell: Examined) -> None:
    (said,) = (text for text in unwell.said_of("node3") if "share of a core" in text)
    (share,) = re.findall(r"node3 \((\d+)%\)", said)
    assert int(share) <= 35
    file = r"/\S+/(cpu\.max|cpu\.cfs_quota_us)"
    assert re.search(
        rf": raise its CPU quota of 0\.\d+ cores \({file}\), or give the host fewer slots$", said
    )


def test_slow_cable_is_said(unwell: Examined) -> None:
    """20 Mbit/s are 2.5 MB/s; a burst of up to 16 kB is faster."""
    _, second, third = (host["link"] for host in unwell.document["hosts"])
    assert second["bytes_per_second"] < 5e6 < third["bytes_per_second"]
    assert any("bandwidth" in text for text in unwell.said_of("node2"))


HASTY: dict[str, float] = {
    "mpi.peer_timeout:REPLY_TIMEOUT_SECONDS": 5.0,
    "mpi.command_loop:FIRST_COMMAND_SECONDS": 1.0,
}
"""Shorter time limits of rank 0 for the others, and of the others for rank 0."""


@pytest.mark.parametrize("when", ["from the start", "during the check"])
def test_host_that_cannot_be_reached_is_said(
    cluster: Cluster, faults: Faults, tmp_path: Path, when: str
) -> None:
    """The client still reaches it by ssh, so mpirun notices nothing."""
    cache, log = tmp_path / "cache", tmp_path / "log"
    program = faults.program(values=HASTY)
    command = [*on_all_hosts(cluster, program, "check"), "--cache", str(cache)]
    way = ["blackhole", f"{cluster.addresses['node1']}/32"]
    if when == "from the start":
        cluster.run("node2", "ip", "route", "add", *way)
    with (
        log.open("w") as out,
        subprocess.Popen(
            cluster.command("client", *command), stdout=out, stderr=out, env=plain() | {"TMPDIR": "/var/tmp"}
        ) as process,
    ):
        try:
            if when == "during the check":
                # They compile, so rank 0 knows them.
                until(lambda: cache.exists() and list(cache.iterdir()), "the cache")
                cluster.run("node2", "ip", "route", "add", *way)
            status = process.wait(timeout=60)
        finally:
            process.kill()
            cluster.run("node2", "ip", "route", "del", *way)
    said = log.read_text()
    assert status == 1, said
    assert "Fit = no, 1 fault\n" in said
    if when == "during the check":
        assert "fault: node2 (rank 1): no answer to rank 0 on node1: " in said
        assert re.search(r"^node2 +no ", said, re.MULTILINE)
    else:
        assert "fault: host of rank 1 (rank 1): no answer to rank 0 on node1: " in said
        assert "error: rank 1 on host node2: 1 s without word from rank 0" in said
