"""The health check of a node, called by a real slurmd."""

import os
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpi_pi.kernel.loader import Kernel
from support import sensors
from support.cluster import SLURM_PROGRAMS, Cluster, booted, until
from support.faults import MESSAGE, Fault, Faults
from support.launching import ROOT

CALM: dict[str, float | str] = {
    "check.node:MAX_SHARE_OF_OTHERS": 2.0,
    "check.rules.speed:MIN_SHARE": 0.0,
    "check.node:ANSWER_SECONDS": 30.0,
    "cli.check_node:COMPILED_BY_SECONDS": 40.0,
    "cli.check_node:GIVE_UP_SECONDS": 45.0,
}
"""Values with which the machine that runs the tests is neither busy nor slow, whatever else it does."""


class Site:
    """A cluster with Slurm, whose nodes call health-check.sh, each with a program of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self._folder = cluster, cluster.folder

    def start(self) -> None:
        """Start Slurm, with a check that does nothing yet."""
        for node in self.cluster.nodes:
            self.set_program(node, "/bin/true")
        script = self._folder / "health-check"
        script.write_text(
            textwrap.dedent(f"""\
            #!/bin/sh
            env >{self._folder}/environment.$SLURMD_NODENAME
            MPI_PI=$(cat {self._folder}/program.$SLURMD_NODENAME)
            export MPI_PI LIMIT=50 LOCK=/var/tmp/lock
            export SLURM_CONF={self.cluster.slurm_conf} MPI_PI_CACHE={shlex.quote(os.environ["MPI_PI_CACHE"])}
            said=$({shlex.quote(str(ROOT))}/jobscripts/health-check.sh 2>&1)
            status=$?
            echo "$MPI_PI: $status\\n$said" >>{self._folder}/log.$SLURMD_NODENAME
            echo "$said"
            exit $status
            """)
        )
        script.chmod(0o755)
        self.cluster.start_slurm(
            settings=f"HealthCheckProgram={script}\nHealthCheckInterval=2\nHealthCheckNodeState=ANY,CYCLE\n"
        )

    def set_program(self, node: str, program: str) -> None:
        new = self._folder / f"new.{node}"
        new.write_text(program)
        new.rename(self._folder / f"program.{node}")

    def checked(self, node: str, program: str) -> str:
        """Let a program check the node that has not done so yet; return what the script says then."""
        self.set_program(node, program)
        log = self._folder / f"log.{node}"

        def reports() -> list[str]:
            text = log.read_text() if log.exists() else ""
            all_reports = re.split(r"^(?=/)", text, flags=re.MULTILINE)
            # slurmd starts the next check even if the one before has not ended.
            return [one for one in all_reports if one.startswith(program) and "has not ended" not in one]

        until(reports, f"a check of {node} by {program}", 120)
        return reports()[-1].removeprefix(f"{program}: ")

    def state(self, node: str) -> tuple[str, str]:
        """Return the state of a node, and the reason for it."""
        told = self.cluster.run("client", "sinfo", "-h", "-n", node, "-o", "%T|%E").stdout.strip()
        state, _, reason = told.partition("|")
        return state, reason

    def environment(self, node: str) -> set[str]:
        """Return the names in the environment that slurmd gives."""
        lines = (self._folder / f"environment.{node}").read_text().splitlines()
        return {line.partition("=")[0] for line in lines}


@pytest.fixture(scope="module")
def site(compiled: Kernel) -> Iterator[Site]:
    with booted(4, *SLURM_PROGRAMS) as cluster:
        site = Site(cluster)
        site.start()
        yield site


def test_nodes_are_drained_for_their_own_faults_alone(site: Site, faults: Faults, tmp_path: Path) -> None:
    """The fault of node2 heals, that of node3 may come again, and node4 cannot be examined."""
    bad_memory = sensors.write(tmp_path / "sys", {"sys/devices/system/edac/mc/mc0/ue_count": 3})
    healthy, while_job, at_last = (faults.program(values=CALM) for _ in range(3))  # told apart in the log
    forgetful = faults.program(values=CALM | {"system.sensors:ROOT": str(bad_memory)})
    wrong = faults.program(Fault("in the known answers", "nothing"), values=CALM)
    broken = faults.program(Fault("in the loading of the kernel"))
    programs = {"node1": healthy, "node2": forgetful, "node3": wrong, "node4": broken}
    for node, program in programs.items():
        site.set_program(node, program)
    said = {node: site.checked(node, program) for node, program in programs.items()}
    assert site.environment("node1") <= {"SLURMD_NODENAME", "PWD", "SHLVL", "_"}

    assert said["node1"] == "0\nFit = yes\n"
    assert site.state("node1") == ("idle", "none")
    assert said["node4"] == f"75\nnot examined (status 75): Fit = unknown: RuntimeError: {MESSAGE}\n"
    assert site.state("node4") == ("idle", "none")
    assert (
        "health_check failed: rc:75 output:not examined (status 75): Fit = unknown"
        in (site.cluster.folder / "slurmd.node4.log").read_text()
    )

    state, reason = site.state("node2")
    assert state == "drained"
    assert reason.startswith("mpi-pi: node2 (3): memory errors that could not be corrected")
    assert reason.endswith("(comes back when mpi-pi check --node finds no fault)")
    assert re.match(
        rf"1\n(drained: {re.escape(reason)}|still drained \({re.escape(reason)}\): node2 \(3\))",
        said["node2"],
    )
    state, wrong_answers = site.state("node3")
    assert state == "drained"
    assert re.match(r"mpi-pi: node3 \(cores? [\d, -]+\): the known answers are counted wrong", wrong_answers)
    assert wrong_answers.endswith("(to bring it back: scontrol update NodeName=node3 State=RESUME)")

    site.checked("node2", healthy)
    until(lambda: site.state("node2") == ("idle", "none"), "the return of node2", 5)
    site.checked("node3", healthy)
    assert site.state("node3") == ("drained", wrong_answers)

    job = site.cluster.submit("--nodelist=node1", "--output=/dev/null", "--wrap=sleep 1000")
    until(lambda: site.cluster.facts(job)["JobState"] == "RUNNING", "the job", 20)
    assert site.checked("node1", while_job) == "0\nFit = yes, speed not measured\n"
    site.cluster.run("client", "scancel", job, check=True)

    by_hand = ["NodeName=node1", "State=DRAIN", "Reason=new disk: on order"]
    site.cluster.run("client", "scontrol", "update", *by_hand, check=True)
    assert site.checked("node1", forgetful).startswith(
        "1\nleft as it is, drained (new disk: on order): node1 (3)"
    )
    assert site.state("node1") == ("drained", "new disk: on order")
    assert site.checked("node1", at_last) == "0\nFit = yes\n"
    assert site.state("node1") == ("drained", "new disk: on order")

    assert site.checked("node4", forgetful).startswith("1\ndrained: mpi-pi: node4 (3): memory errors")
    site.checked("node4", wrong)
    state, reason = site.state("node4")
    assert state == "drained"
    assert re.match(r"mpi-pi: node4 \(cores? .*the known answers .*\(to bring it back: ", reason)
