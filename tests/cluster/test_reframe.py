"""The ReFrame test of the job scripts, under a real ReFrame: on this machine, and on a real Slurm."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import lacks
from support.cluster import SLURM_PROGRAMS, Cluster, booted
from support.faults import UNVERIFIABLE, Faults
from support.launching import BIN, MPIRUN, ROOT, finish

PAGE = (ROOT / "jobscripts" / "README.md").read_text()
PLAIN, ON_NODES, ON_EACH_NODE = re.findall(r"^reframe .*$", PAGE, re.MULTILINE)
SHORT = ("-S", "trials_per_task=1000")
SETTINGS = """
site_configuration = {
    "systems": [{"name": "tests", "hostnames": [".*"], "partitions": [PARTITION]}],
    "environments": [{"name": "plain"}],
}
"""
LOCAL = {"name": "local", "scheduler": "local", "launcher": "mpirun", "environs": ["plain"]}
SLURM = LOCAL | {"name": "batch", "scheduler": "squeue"}

ReFrame = Callable[..., subprocess.CompletedProcess[str]]


def settings(folder: Path, partition: dict[str, Any], environment: dict[str, str]) -> dict[str, str]:
    """Write the settings of a ReFrame that has one partition; return its environment."""
    (folder / "settings.py").write_text(SETTINGS.replace("PARTITION", repr(partition)))
    return environment | {
        "PATH": f"{Path(MPIRUN).parent}:{BIN}:{os.environ['PATH']}",
        "RFM_CONFIG_FILES": str(folder / "settings.py"),
        "RFM_PREFIX": str(folder / "runs"),
        "RFM_REPORT_FILE": str(folder / "report.json"),
        "RFM_COLORIZE": "n",
        "HOME": str(folder),
    }


def cases(folder: Path) -> list[dict[str, Any]]:
    """Return what ReFrame reports of each test that it has run."""
    (run,) = json.loads((folder / "report.json").read_text())["runs"]
    found: list[dict[str, Any]] = run["testcases"]
    return found


@pytest.fixture
def reframe(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> ReFrame:
    """Return `reframe(line, *more)`, which runs a line of the page on this machine."""
    lacks.require("reframe")
    monkeypatch.chdir(ROOT / "jobscripts")
    environ = settings(tmp_path, LOCAL, environment)

    def run(line: str, *more: str) -> subprocess.CompletedProcess[str]:
        return finish([*shlex.split(line), *SHORT, *more], environ, timeout=120)

    return run


def test_reframe_has_the_rates_of_the_result(reframe: ReFrame, tmp_path: Path) -> None:
    run = reframe(PLAIN, "-S", "tasks_per_node=2")
    assert run.returncode == 0, run.stdout + run.stderr
    (case,) = cases(tmp_path)
    assert (case["result"], case["num_tasks"]) == ("pass", 2)
    (file,) = (tmp_path / "runs" / "output").rglob("result.json")
    result = json.loads(file.read_text())
    rates = {name.rpartition(":")[2]: value[0] for name, value in case["perfvalues"].items()}
    (host,) = result["hosts"]
    assert rates == {
        "points_per_second": result["points_per_second"],
        "points_per_second_per_core": result["points_per_second_per_core"],
        f"points_per_second_{host['host']}": host["points_per_second"],
    }


def test_reframe_tells_why_a_run_is_not_verified(reframe: ReFrame, tmp_path: Path, faults: Faults) -> None:
    program = faults.program(values=UNVERIFIABLE)
    run = reframe(PLAIN, "-S", f"executable={program}")
    assert run.returncode == 1, run.stdout + run.stderr
    (case,) = cases(tmp_path)
    assert (case["result"], case["fail_phase"]) == ("fail", "sanity")
    assert "mpi-pi is not verified: distance from pi: " in case["fail_reason"]


def test_reframe_tells_the_error_of_a_run_that_cannot_start(reframe: ReFrame, tmp_path: Path) -> None:
    run = reframe(PLAIN, "-S", "trials_per_task=0")
    assert run.returncode == 1, run.stdout + run.stderr
    (case,) = cases(tmp_path)
    assert "mpi-pi is not verified: argument -n/--trials: '0': " in case["fail_reason"]


def test_reframe_fails_below_the_rate_that_is_expected(reframe: ReFrame, tmp_path: Path) -> None:
    run = reframe(PLAIN, "-S", "rate_per_core=1e15")
    assert run.returncode == 1, run.stdout + run.stderr
    (case,) = cases(tmp_path)
    assert case["fail_phase"] == "performance"
    assert "points_per_second_per_core" in case["fail_reason"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lacks.require("reframe")
    with booted(2, *SLURM_PROGRAMS) as up:
        up.start_slurm()
        yield up


@pytest.mark.parametrize(
    ("line", "nodes"),
    [(ON_NODES, [["node1"], ["node1", "node2"]]), (ON_EACH_NODE, [["node1"], ["node2"]])],
    ids=["-P nodes", "--distribute"],
)
def test_reframe_runs_on_the_nodes_of_slurm(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str], line: str, nodes: list[list[str]]
) -> None:
    # Without the settings for more ranks than cores, which would put them all on the first host.
    environ = {name: value for name, value in environment.items() if "rmaps" not in name}
    environ = settings(tmp_path, SLURM, environ) | {"PRTE_MCA_hwloc_default_binding_policy": "none"}
    command = f"cd jobscripts && exec {shlex.join([*shlex.split(line), *SHORT])}"
    run = cluster.run("client", "sh", "-c", command, env=environ, timeout=240)
    assert run.returncode == 0, run.stdout + run.stderr
    found = cases(tmp_path)
    assert [case["result"] for case in found] == ["pass", "pass"]
    results = [json.loads(file.read_text()) for file in (tmp_path / "runs" / "output").rglob("result.json")]
    hosts = sorted([host["host"] for host in result["hosts"]] for result in results)
    if line == ON_EACH_NODE:
        assert hosts == nodes
    assert sorted(map(len, hosts)) == sorted(map(len, nodes))
    assert {result["scheduler"] for result in results} == {"Slurm"}
    assert {result["job_id"] for result in results} == {str(case["jobid"]) for case in found}
    assert all(len(host["ranks"]) == 2 for result in results for host in result["hosts"])
