"""The job scripts on a real Slurm, and the hostfiles on a cluster of real hosts (see cluster.py)."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cluster as cluster_module
import pytest
from cluster import Cluster
from conftest import BIN, MPI_PI, MPIRUN

from mpi_pi import reference
from mpi_pi.job import Job

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lacking = cluster_module.missing(cluster_module.PROGRAMS + cluster_module.SLURM_PROGRAMS)
    if lacking:
        # In CI everything is installed: there a skipped test would be a silent gap.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)
    # Not pytest's folder, which is closed to others: munge wants its socket in reach of all.
    with tempfile.TemporaryDirectory(prefix="mpi-pi-cluster-") as folder:
        Path(folder).chmod(0o755)
        with Cluster(Path(folder), nodes=3) as up:
            up.start_slurm()
            yield up


def hits(job: Job) -> int:
    return int(reference.count(job, range(job.units)).sum())


def test_a_hostfile_over_ssh(cluster: Cluster, tmp_path: Path, environment: dict[str, str]) -> None:
    """The hostfile of the OctaPi, but for the hosts that are not there."""
    lines = (ROOT / "hostfiles" / "octapi.hosts").read_text().splitlines()
    there = [line for line in lines if line.startswith("#") or line.split()[0] in cluster.addresses.values()]
    assert sum(not line.startswith("#") for line in there) == 3
    (tmp_path / "octapi.hosts").write_text("\n".join(there) + "\n")
    run = cluster.run(
        "client",
        *[MPIRUN, "-hostfile", str(tmp_path / "octapi.hosts"), MPI_PI, "run", "-i", "10000", "-n", "500"],
        *["--seed", "6"],
        # Without the settings for more ranks than cores, which would put them all on the first host.
        env={name: value for name, value in environment.items() if "rmaps" not in name}
        | {
            "PRTE_MCA_plm_ssh_agent": str(cluster.ssh),
            "OMPI_MCA_plm_rsh_agent": str(cluster.ssh),
            "OMPI_MCA_btl_tcp_if_include": "192.168.1.0/24",
            "PRTE_MCA_prte_if_include": "192.168.1.0/24",
            # The hosts here have fewer cores than a Raspberry Pi, to which ranks could be bound.
            "PRTE_MCA_hwloc_default_binding_policy": "none",
        },
    )
    assert run.returncode == 0, run.stderr
    assert f"pi = 4*({hits(Job(500, 10_000, 6))}/5000000)" in run.stdout
    assert "Ranks = 12 on 3 hosts" in run.stdout
    rows = re.findall(r"^(node\d) +(\d+) ", run.stdout, re.MULTILINE)
    assert rows == [("node1", "4"), ("node2", "4"), ("node3", "4")]


def test_the_job_script_on_slurm(cluster: Cluster, tmp_path: Path, environment: dict[str, str]) -> None:
    script = shutil.copy(ROOT / "jobscripts" / "single-node.sbatch", tmp_path)
    submitted = cluster.run(
        "client",
        *["sbatch", "--parsable", f"--chdir={tmp_path}", str(script), "--seed", "6"],
        env=environment | {"VENV": str(BIN.parent), "TRIALS": "500", "POINTS": "10000"},
    )
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    state = cluster.finished(job, 60)
    out = (tmp_path / f"mpi-pi-{job}.out").read_text()
    assert state == "COMPLETED", out
    assert f"pi = 4*({hits(Job(500, 10_000, 6))}/5000000)" in out
    assert "Ranks = 2 on 1 host" in out


def test_srun_with_an_mpi_that_it_does_not_know_is_refused(
    cluster: Cluster, environment: dict[str, str]
) -> None:
    """Slurm's srun without PMIx starts ranks that know nothing of each other."""
    run = cluster.run(
        "client", "srun", "--mpi=none", "-n", "2", MPI_PI, "run", "-n", "1e15", "-i", "1e9", env=environment
    )
    assert run.returncode != 0
    assert "the launcher started 2 ranks, but" in run.stderr
    assert run.stderr.count("mpi-pi: error") == 1
    assert "Verification" not in run.stdout
