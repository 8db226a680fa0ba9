"""Jobs on several hosts with every MPI."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job
from support import mpis
from support.cluster import Cluster, booted
from support.mpis import Mpi
from support.terminal import on_a_terminal

ASK = ("run", "--ask", "--seed", "5")
POINTS = "How many points in each trial?"
JOB = Job(300, 10_001, 5)


@pytest.fixture(scope="module")
def pi() -> str:
    hits = int(reference.count(JOB, range(JOB.units)).sum())
    return f"pi = 4*({hits}/{JOB.total_points}) = "


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(nodes=3) as up:
        yield up


def test_run_on_three_hosts_over_ssh(
    cluster: Cluster, mpi: Mpi, environment: dict[str, str], tmp_path: Path, pi: str
) -> None:
    """mpirun runs on the client, with a hostfile in the format of its MPI."""
    slots = (1, 3, 2)
    hosts = {cluster.addresses[node]: number for node, number in zip(cluster.nodes, slots, strict=True)}
    (tmp_path / "hosts").write_text(mpi.hostfile(hosts))
    run = cluster.run(
        "client",
        *mpi.make("run", f"HOSTFILE={tmp_path / 'hosts'}", "TRIALS=300", "POINTS=10001", "ARGS=--seed 5"),
        env=mpis.on_all_hosts(environment),
    )
    assert run.returncode == 0, run.stderr
    assert pi in run.stdout
    assert f"MPI = {mpi.library}\n" in run.stdout.replace("\r", "")
    assert f"Ranks = {sum(slots)} on 3 hosts" in run.stdout
    rows = re.findall(r"^(node\d) +(\d+) ", run.stdout, re.MULTILINE)
    assert rows == [(node, str(number)) for node, number in zip(cluster.nodes, slots, strict=True)]


def test_prompt_works_on_another_host(
    cluster: Cluster, mpi: Mpi, environment: dict[str, str], tmp_path: Path, pi: str
) -> None:
    """Rank 0 is not on the terminal's host, and Open MPI forwards its output by lines."""
    (tmp_path / "hosts").write_text(mpi.hostfile({cluster.addresses["node2"]: 1}))
    settings = {name: value for name, value in environment.items() if "rmaps" not in name}
    command = cluster.command("client", mpi.mpirun, "-hostfile", str(tmp_path / "hosts"), mpi.mpi_pi, *ASK)
    shown = on_a_terminal([*command, "-n", "300"], settings, keys=b"10001\n", after=POINTS)
    assert pi in shown
