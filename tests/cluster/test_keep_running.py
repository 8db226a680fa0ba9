"""A job that is kept running: whatever happens to its hosts, its hits are the same, and nothing is left."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mpi_pi.model.job import Job
from support import mpis
from support.chaos import hits_of, words_of
from support.cluster import Cluster, booted, until
from support.faults import AT_A_PACE, Faults
from support.launching import soak
from support.mpis import Found, Mpi, on_all_hosts, there

JOB = Job(6000, 100_000, 7)
"""A job of a minute or more AT_A_PACE."""

LIMIT_SECONDS = 120

DAEMONS = r"prted|orted|hydra_pmi_proxy"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(3, "ps") as up:
        yield up


@pytest.fixture
def plain(environment: dict[str, str]) -> dict[str, str]:
    return on_all_hosts(environment)


class Kept:
    """A job on one rank of each host of a cluster, kept running from its client, which counts at a pace."""

    def __init__(
        self, cluster: Cluster, mpi: Mpi, environ: dict[str, str], folder: Path, faults: Faults
    ) -> None:
        self.cluster, self.mpi, self.folder, self.faults = cluster, mpi, folder, faults
        self.environ = environ | {"TMPDIR": "/var/tmp"}
        self.checkpoint = folder / "c"
        self.process: subprocess.Popen[bytes]

    def start(self, *options: str, patience: str = "60s") -> None:
        """Start it; `patience` is that of the ranks."""
        slots = {self.cluster.addresses[name]: 1 for name in self.cluster.nodes}
        (self.folder / "hosts").write_text(self.mpi.hostfile(slots))
        program = self.faults.program(AT_A_PACE, python=self.mpi.python)
        words = [self.mpi.mpi_pi, "keep-running", *options, "--", self.mpi.mpirun, "-n", "3"]
        words += ["-hostfile", str(self.folder / "hosts"), program, *words_of(JOB)]
        words += ["--checkpoint", str(self.checkpoint), "--checkpoint-every", "0.2s", "--patience", patience]
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                self.cluster.command("client", *words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.environ,
            )

    def until_saved(self, host: str = "client", rounds: int = 1) -> None:
        """Wait until rounds of this start have been saved, in the file as it is seen by a host."""
        enough = self.rounds(host) + rounds
        until(lambda: self.rounds(host) >= enough, "more rounds", 60)

    def rounds(self, host: str) -> int:
        saved = self.cluster.run(host, "cat", str(self.checkpoint)).stdout
        return int(json.loads(saved)["spent"]["rounds"]) if saved else 0

    def until_told(self, text: str) -> None:
        until(lambda: text in self.err, text, 60)

    def cut_off_until_left_out(self, host: str) -> None:
        """Disconnect a host until the job is started again without it."""
        self.cluster.pull_cable(host)
        address = self.cluster.addresses[host]
        self.until_told(f"mpi-pi: start 2 is without {address}: no answer: is it switched on")
        self.cluster.plug_cable(host)

    def kill(self, host: str, pattern: str) -> None:
        """Kill the processes of a host whose command line matches a pattern."""
        assert self.cluster.run(host, "pkill", "-KILL", "-f", pattern).returncode == 0

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text().replace("\r", "")

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text(errors="replace")

    def require_right(self, ranks: str) -> None:
        """Require that the job ends at full speed, complete, with the right hits, and leaves nothing."""
        self.faults.full_speed()
        assert self.process.wait(timeout=LIMIT_SECONDS) == 0, self.err
        assert self.out.count(f"pi = 4*({hits_of(JOB)}/{JOB.total_points}) = ") == 1
        assert "Verification = SUCCESSFUL\n" in self.out.rpartition("\npi = ")[2]
        *_, last = re.findall(r"^Ranks = (.*)$", self.out, re.MULTILINE)
        assert last == ranks
        assert re.search(r"^real\t.*\nuser\t.*\nsys\t.*\n\Z", self.out, re.MULTILINE)  # the end of the report
        self.require_nothing_left()

    def require_nothing_left(self) -> None:
        """Require that no process of the job is left, and no file of it in a folder for temporary ones."""
        assert "mpi-pi-sign" not in self.err
        for name in self.cluster.on:
            found = self.cluster.run(name, "ps", "-eo", "args", "ww").stdout
            assert not re.search(rf"mpi-pi run|{DAEMONS}|prterun|mpirun", found), (name, found)
            left = self.cluster.run(name, "sh", "-c", "ls -d /dev/shm/* /var/tmp/*").stdout.split()
            ours = ("/var/tmp/mpi-pi-0", str(self.checkpoint))  # the cache; also the lock of a killed rank 0
            assert [place for place in left if not place.startswith(ours)] == []


@pytest.fixture
def keep(
    cluster: Cluster, plain: dict[str, str], tmp_path: Path, faults: Faults
) -> Iterator[Callable[[Mpi], Kept]]:
    """Yield a function that returns a job with an MPI; afterwards switch all hosts on again."""
    jobs = list[Kept]()

    def made(mpi: Mpi) -> Kept:
        jobs.append(Kept(cluster, mpi, plain, tmp_path, faults))
        return jobs[-1]

    yield made
    for job in jobs:
        print(job.err)
        job.process.kill()
    cluster.power_on()
    for name in cluster.on:
        cluster.run(name, "sh", "-c", "rm -f /var/tmp/c /var/tmp/c.*")


@pytest.fixture
def kept(keep: Callable[[Mpi], Kept], mpi: Mpi) -> Kept:
    """Return a job with each MPI."""
    return keep(mpi)


@pytest.fixture(params=[*mpis.FROM_PYPI, *(pytest.param(name, marks=soak) for name in mpis.OF_DEBIAN)])
def kept_from_pypi(keep: Callable[[Mpi], Kept], found: Found, request: pytest.FixtureRequest) -> Kept:
    """Return a job with each of the newer MPIs, and, in the long trials, with the others."""
    return keep(there(found, request.param))


def test_host_switched_off_in_the_midst_is_left_out(kept: Kept) -> None:
    kept.start()
    kept.until_saved()
    kept.cluster.power_off("node2")
    kept.until_told("mpi-pi: start 2 is without 192.168.1.102: no answer: is it switched on")
    kept.require_right(ranks="2 on 2 hosts")
    assert re.search(r"^mpi-pi: start 2 goes on from \d\d+ points: ", kept.err, re.MULTILINE)


def test_host_off_at_the_start_is_left_out_and_taken_in_again_when_it_is_back(kept_from_pypi: Kept) -> None:
    """What makes another start necessary is that the launcher is killed, which leaves its ranks behind."""
    kept = kept_from_pypi
    kept.cluster.power_off("node3")
    kept.start()
    kept.until_saved()
    assert "mpi-pi: start 1 is without 192.168.1.103: no answer: is it switched on" in kept.err
    assert re.search(r"^Ranks = 2 on 2 hosts$", kept.out, re.MULTILINE)
    kept.cluster.power_on()
    kept.kill("client", f"^(/usr/bin/|{kept.mpi.prefix}/bin/)(mpirun|prterun)")
    kept.until_told("mpi-pi: start 2 is with 192.168.1.103 again\n")
    kept.require_right(ranks="3 on 3 hosts")


def test_daemon_that_is_killed_is_replaced(kept_from_pypi: Kept) -> None:
    """Open MPI 5 then returns 0, and leaves the ranks of other hosts behind."""
    kept = kept_from_pypi
    kept.start()
    kept.until_saved()
    kept.kill("node2", f"^[^ ]*({DAEMONS}) ")
    if not kept.mpi.is_mpich:  # whose ranks finish the job
        kept.until_told("mpi-pi: start 2")
    kept.require_right(ranks="3 on 3 hosts")
    if not kept.mpi.is_mpich:
        assert re.search(r"^mpi-pi: start 2.*: the launcher ended with", kept.err, re.MULTILINE)


def test_silent_host_of_rank_0_is_left_out_although_its_disk_has_the_checkpoint(kept_from_pypi: Kept) -> None:
    """Its ranks, which are still there, are ended once it is connected again."""
    kept = kept_from_pypi
    kept.checkpoint = Path("/var/tmp/c")  # each host has its own
    kept.start("--patience", "6s")
    kept.until_saved("node1")
    kept.cut_off_until_left_out("node1")
    kept.require_right(ranks="2 on 2 hosts")
    assert re.search(r"^mpi-pi: start 2 goes on from \d\d+ points: ", kept.err, re.MULTILINE)
    assert re.search(r"^Seed = 7$", kept.out, re.MULTILINE)


@soak
def test_silent_host_is_left_out_when_the_other_ranks_have_given_it_up(kept: Kept) -> None:
    """Rank 0 then tells its end, after which a launcher that still waits for the host is ended."""
    kept.start("--patience", "60s", patience="6s")
    kept.until_saved()
    kept.cut_off_until_left_out("node2")
    kept.require_right(ranks="2 on 2 hosts")
    assert "mpi-pi: error: host node2 has been silent for 6 s, with rank 1\n" in kept.err


def test_signal_ends_the_job_on_all_hosts(kept_from_pypi: Kept) -> None:
    kept = kept_from_pypi
    kept.start()
    kept.until_saved()
    kept.cluster.run("client", "pkill", "-TERM", "-f", "mpi-pi keep-running")
    assert kept.process.wait(timeout=LIMIT_SECONDS) == 75
    assert "start 2" not in kept.err
    kept.require_nothing_left()
