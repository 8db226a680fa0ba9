"""`mpi-pi check` as people run it: on this machine, and on a cluster of hosts that are not all well."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest

import mpi_pi
from mpi_pi.cli.parser import UsageError, parse
from mpi_pi.system import package
from mpi_pi.version import STREAM_VERSION
from support import cluster as cluster_module
from support.cluster import Cluster, until
from support.faults import MESSAGE, Fault, Faults
from support.lacks import lack
from support.launching import MPI_PI, MPIRUN, SETTINGS, Launch
from support.schemas import CHECK as SCHEMA

PACKAGE = package.FOLDER
CHECK = (MPI_PI, "check")
CPUS = psutil.cpu_count() or 1


def texts_of_faults(document: dict[str, Any]) -> str:
    """What is at fault, a line each."""
    return "\n".join(found["text"] for found in document["findings"] if found["severity"] == "fault")


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_one_host(launch: Launch, tmp_path: Path, ranks: int) -> None:
    run = launch(ranks, *CHECK, "--json", str(tmp_path / "o.json"))
    document = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(document, SCHEMA)
    last = run.stdout.splitlines()[-1]
    assert last.startswith("Fit = yes" if document["fit"] else "Fit = no, ")
    assert run.returncode == (0 if document["fit"] else 1), run.stderr
    assert f"Hosts = 1, ranks = {ranks}\n" in run.stdout
    assert f"Known answer = right on {ranks} of {ranks} ranks\n" in run.stdout
    assert len(re.findall(rf"^{re.escape(platform.node())} ", run.stdout, re.MULTILINE)) >= 3

    (host,) = document["hosts"]
    assert host["host"] == platform.node()
    assert host["reachable"]
    assert host["machine"]["architecture"] == platform.machine()
    assert host["machine"]["cpus"] == CPUS
    assert host["points_per_second"] == sum(row["points_per_second"] for row in document["ranks"])
    assert (host["link"] is None) == (ranks == 1)
    if host["link"]:
        assert abs(host["link"]["skew_seconds"]) < 1  # there is but one clock
    assert [row["rank"] for row in document["ranks"]] == list(range(ranks))
    for row in document["ranks"]:
        assert row["right"]
        assert row["points_per_second"] > 0
        assert row["kernel"] == "numba"
        assert row["software"] | {"sources": "", "mpi": ""} == {
            "python": platform.python_version(),
            "bits": 64,
            "package": mpi_pi.__version__,
            "sources": "",
            "stream": STREAM_VERSION,
            "numpy": version("numpy"),
            "numba": version("numba"),
            "mpi4py": version("mpi4py"),
            "mpi": "",
        }
    assert (f"({ranks} on {CPUS}): more ranks than cores" in texts_of_faults(document)) == (ranks > CPUS)


def test_without_numba(launch: Launch) -> None:
    run = launch(0, *CHECK, "--json", "-", NUMBA_DISABLE_JIT="1")
    document = json.loads(run.stdout)
    jsonschema.validate(document, SCHEMA)
    assert run.returncode == 1
    assert f"{platform.node()}: NUMBA_DISABLE_JIT is set" in texts_of_faults(document)
    assert all(row["kernel"] == "numpy" and row["right"] for row in document["ranks"])
    assert all(row["points_per_second"] > 0 for row in document["ranks"])


@pytest.mark.skipif(CPUS < 2, reason="there is but one core")
def test_ranks_on_one_core(launch: Launch) -> None:
    run = launch(2, "taskset", "--cpu-list", "0", *CHECK)
    assert run.returncode == 1
    assert (
        f"fault: {platform.node()} (ranks 0-1 on core 0): several ranks are bound to one core" in run.stdout
    )


WEARY: dict[str, float] = {
    "mpi.command_loop:TIMEOUT_SECONDS": 3.0,
    "mpi.command_loop:KEEP_ALIVE_SECONDS": 0.5,
}
"""Values with which a rank is given up sooner."""


def test_what_is_wrong_with_a_rank_is_said(launch: Launch, faults: Faults) -> None:
    """A kernel that miscounts, a clock that is ahead, a connection that takes 50 ms; and no kernel at all.

    That the kernel takes longer to load than a host may be silent for is nothing wrong.
    """
    program = faults.program(
        Fault("in the known answers", "nothing", rank=1),
        Fault("in the clock", "nothing", rank=1),
        Fault("in the loading of the kernel", "sleep", rank=1, seconds=4.0),
        Fault("in the cache", rank=2),
        values=WEARY,
    )
    run = launch(3, program, *CHECK[1:], "--json", "-")
    document = json.loads(run.stdout)
    jsonschema.validate(document, SCHEMA)
    assert run.returncode == 1
    name = platform.node()
    assert f"{name} (rank 1): the known answers are counted wrong" in texts_of_faults(document)
    assert f"{name} (rank 2): RuntimeError: {MESSAGE}" in texts_of_faults(document)
    assert any(found["text"].startswith(f"{name} (+100.") for found in document["findings"])
    assert [row["right"] for row in document["ranks"]] == [True, False, None]
    assert document["hosts"][0]["link"]["latency_seconds"] >= 0.025


def test_a_file_that_cannot_be_written_is_refused(launch: Launch) -> None:
    run = launch(2, *CHECK, "--json", "/no/such/folder/o.json")
    assert run.returncode == 2
    assert run.stdout == ""
    ours = [line for line in run.stderr.splitlines() if "mpi-pi: " in line]
    assert ours == ["mpi-pi: error: argument --json: '/no/such/folder/o.json': No such file or directory"]


def test_what_is_no_use_here_is_refused() -> None:
    for words in (["--kernel", "numpy"], ["-n", "1"], ["--json", ""], ["o.json"]):
        with pytest.raises(UsageError):
            parse(["check", *words])


def test_a_run_does_without_all_this(launch: Launch) -> None:
    program = (
        "import sys; from mpi_pi.cli.main import main;"
        "main(['run', '-n', '1', '-i', '1', '--kernel', 'numpy']);"
        "print(*sys.modules)"
    )
    modules = set(launch(0, sys.executable, "-c", program).stdout.splitlines()[-1].split())
    assert "mpi_pi.parallel.run" in modules
    own = {
        f"mpi_pi.{name}" for name in ("mpi.command_loop", "mpi.pingpong", "system.machine", "system.software")
    }
    assert not modules & own
    assert not [name for name in modules if re.match(r"mpi_pi\.(check\b|cli\.check$|report\.check$)", name)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lacking = cluster_module.missing((*cluster_module.PROGRAMS, "tc"))
    if lacking:
        lack(*lacking)
    with tempfile.TemporaryDirectory(prefix="mpi-pi-cluster-") as folder:
        Path(folder).chmod(0o755)
        with Cluster(Path(folder), nodes=3) as up:
            (up.folder / "hosts.txt").write_text(
                "".join(f"{up.addresses[name]} slots=1\n" for name in up.nodes)
            )
            yield up


def on_all_hosts(cluster: Cluster, *command: str) -> list[str]:
    return [MPIRUN, "-hostfile", str(cluster.folder / "hosts.txt"), *command]


def plain() -> dict[str, str]:
    """As a user has it, but for binding: the hosts' cores are all the same ones."""
    as_tested = os.environ | SETTINGS
    return {name: value for name, value in as_tested.items() if "rmaps" not in name} | {
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
    }


@dataclass
class Examined:
    """What `mpi-pi check` has found."""

    run: Any
    document: dict[str, Any]

    def said_of(self, host: str) -> list[str]:
        return [found["text"] for found in self.document["findings"] if host in found["hosts"]]


@pytest.fixture(scope="module")
def unwell(cluster: Cluster) -> Examined:
    """A check of three hosts: the second with another program and a slow cable, the third
    with a third of a core."""
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


def test_a_host_that_is_slowed_down_is_said(unwell: Examined) -> None:
    (said,) = (text for text in unwell.said_of("node3") if "share of a core" in text)
    (share,) = re.findall(r"node3 \((\d+)%\)", said)
    assert int(share) <= 35
    file = r"/\S+/(cpu\.max|cpu\.cfs_quota_us)"
    assert re.search(
        rf": raise its CPU quota of 0\.\d+ cores \({file}\), or give the host fewer slots$", said
    )


def test_a_slow_cable_is_said(unwell: Examined) -> None:
    """20 Mbit/s are 2.5 MB/s; what fits into the 16 kB of the burst goes faster."""
    _, second, third = (host["link"] for host in unwell.document["hosts"])
    assert second["bytes_per_second"] < 5e6 < third["bytes_per_second"]
    assert any("bandwidth" in text for text in unwell.said_of("node2"))


HASTY: dict[str, float] = {
    "mpi.command_loop:TIMEOUT_SECONDS": 5.0,
    "mpi.command_loop:FIRST_COMMAND_SECONDS": 1.0,
}
"""Values with which a rank is given up sooner, and gives rank 0 up sooner."""


@pytest.mark.parametrize("when", ["from the start", "during the check"])
def test_a_host_that_cannot_be_reached_is_said(
    cluster: Cluster, faults: Faults, tmp_path: Path, when: str
) -> None:
    """From the client it can, by ssh, so that mpirun notices nothing."""
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
