"""A job that is kept running: whatever happens to its hosts, its hits are the same, and nothing is left."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpi_pi.kernel.loader import load
from mpi_pi.model.job import Job
from support.cluster import Cluster, booted, until
from support.mpis import MORE_SLOTS_THAN_CORES, Found, Mpi, there

JOB = Job(1000, 100_000, 7)
"""A job of some seconds for the NumPy kernel on three hosts."""

LIMIT_SECONDS = 120


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(3, "ps") as up:
        yield up


@pytest.fixture
def all_on(cluster: Cluster) -> Iterator[Cluster]:
    """Yield the cluster; afterwards switch all of its hosts on again."""
    yield cluster
    cluster.power_on()


@pytest.fixture
def plain(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment without the settings that would put all ranks on the first host."""
    rest = {name: value for name, value in environment.items() if "rmaps" not in name}
    return rest | MORE_SLOTS_THAN_CORES


@pytest.fixture
def open_mpi(found: Found) -> Mpi:
    """Return one MPI, for tests whose result does not depend on it."""
    return there(found, "Open MPI from PyPI")


class Kept:
    """A job on one rank of each host of a cluster, kept running from its client."""

    def __init__(self, cluster: Cluster, mpi: Mpi, environ: dict[str, str], folder: Path) -> None:
        self.cluster, self.mpi, self.folder = cluster, mpi, folder
        self.environ = environ | {"TMPDIR": "/var/tmp"}
        self.checkpoint = folder / "c"
        self.process: subprocess.Popen[bytes]

    def words(self, *options: str, program: str = "") -> list[str]:
        hostfile = self.folder / "hosts"
        hostfile.write_text(
            self.mpi.hostfile({self.cluster.addresses[name]: 1 for name in self.cluster.nodes})
        )
        job = [self.mpi.mpirun, "-hostfile", str(hostfile), program or self.mpi.mpi_pi, "run"]
        job += ["-n", str(JOB.trials), "-i", str(JOB.points), "--seed", str(JOB.seed), "--kernel", "numpy"]
        job += ["--checkpoint", str(self.checkpoint), "--checkpoint-every", "0.2s"]
        return [self.mpi.mpi_pi, "keep-running", *options, "--", *job]

    def start(self, *options: str, program: str = "") -> None:
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                self.cluster.command("client", *self.words(*options, program=program)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.environ,
            )

    def until_saved(self, rounds: int = 2) -> None:
        """Wait until some more rounds have been saved."""
        enough = self.rounds() + rounds
        until(lambda: self.rounds() >= enough, "more rounds", 60)

    def rounds(self) -> int:
        if not self.checkpoint.exists():
            return 0
        return int(json.loads(self.checkpoint.read_text())["spent"]["rounds"])

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text().replace("\r", "")

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text(errors="replace")

    def require_right(self) -> None:
        """Require that the job ends complete, with the right hits, and leaves nothing behind."""
        assert self.process.wait(timeout=LIMIT_SECONDS) == 0, self.err
        hits = load("numba").count(JOB, range(JOB.units)).sum()
        assert f"pi = 4*({hits}/{JOB.total_points}) = " in self.out
        assert self.out.count("Verification = SUCCESSFUL\n") == 1
        self.require_nothing_left()

    def require_nothing_left(self) -> None:
        """Require that no process of the job is left, and no file of it in a folder for temporary ones."""
        assert "mpi-pi-sign" not in self.err
        for name in self.cluster.on:
            found = self.cluster.run(name, "ps", "-eo", "args", "ww").stdout
            assert not re.search(r"mpi-pi run|prted|orted|hydra_pmi_proxy|prterun|mpirun", found), (
                name,
                found,
            )
            left = self.cluster.run(name, "sh", "-c", "ls -d /dev/shm/* /var/tmp/*").stdout.split()
            assert [place for place in left if "mpi-pi-0" not in place] == []


@pytest.fixture
def kept(all_on: Cluster, mpi: Mpi, plain: dict[str, str], tmp_path: Path) -> Iterator[Kept]:
    """Yield a job with each MPI."""
    yield (job := Kept(all_on, mpi, plain, tmp_path))
    print(job.err)


def test_host_switched_off_in_the_midst_is_left_out(kept: Kept) -> None:
    kept.start()
    kept.until_saved()
    kept.cluster.power_off("node2")
    kept.require_right()
    assert re.search(r"^mpi-pi: start 2 goes on from \d+ points: ", kept.err, re.MULTILINE)
    assert "mpi-pi: start 2 is without 192.168.1.102: no answer" in kept.err
    assert re.search(r"^Ranks = 2 on 2 hosts$", kept.out, re.MULTILINE)
