"""The command with Debian's own packages alone, as hostfiles/README.md has it for 32-bit systems."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mpi_pi.model.job import Job
from support.counting import hits
from support.lacks import lack, missing, packages
from support.launching import ROOT, finish

PYTHON = "/usr/bin/python3"
JOB = Job(100, 10_001, 5)
RUN = ("run", "-n", "100", "-i", "10001", "--seed", "5")
Launched = Callable[..., subprocess.CompletedProcess[str]]
PACKAGES = ("openmpi-bin", "python3-mpi4py", "python3-numpy", "python3-tqdm")


@pytest.fixture(autouse=True)
def _packages() -> None:
    if lacking := missing(name for package in PACKAGES for name in packages()[package]):
        lack(*lacking)


@pytest.fixture(params=[0, 3])
def ranks(request: pytest.FixtureRequest) -> int:
    """Return the number of ranks under mpirun; 0 is one process without mpirun."""
    found: int = request.param
    return found


@pytest.fixture
def launched(environment: dict[str, str], tmp_path: Path, ranks: int) -> Launched:
    """Return a function that runs a command of mpi-pi on the ranks, or with `alone` on none."""
    # Only what the machine itself has: no packages of the user, either.
    environ = environment | {"PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1", "MPI_PI_CACHE": str(tmp_path)}

    def launch(*words: str, alone: bool = False) -> subprocess.CompletedProcess[str]:
        launcher = ["mpirun.openmpi", "-n", str(ranks)] if ranks and not alone else []
        return finish([*launcher, PYTHON, "-m", "mpi_pi", *words], environ)

    return launch


def test_run_merge_and_check_work(launched: Launched, tmp_path: Path, ranks: int) -> None:
    file = tmp_path / "result.json"
    run = launched(*RUN, "--json", str(file))
    assert run.returncode == 0, run.stderr
    estimate = json.loads(file.read_text())["estimate"]
    assert estimate["hits"] == hits(JOB)
    assert "Verification = SUCCESSFUL" in run.stdout
    assert f"Ranks = {ranks or 1} on 1 host" in run.stdout
    run = launched("check")
    assert f"Known answer = right on {ranks or 1} of {ranks or 1} ranks" in run.stdout
    merged = launched("merge", str(file), alone=True)
    assert f"pi = 4*({estimate['hits']}/{JOB.total_points}) = " in merged.stdout, merged.stderr


def test_shards_that_are_stopped_and_resumed_have_the_hits_of_the_whole(
    launched: Launched, tmp_path: Path
) -> None:
    files = [str(tmp_path / f"{shard}.json") for shard in (1, 2)]
    for shard, file in enumerate(files, 1):
        options = ["--shard", f"{shard}/2", "--checkpoint", str(tmp_path / f"c{shard}"), "--json", file]
        stopped = launched(*RUN, *options, "--time-limit", "0.1s")
        assert stopped.returncode == 75, stopped.stderr
        assert launched(*RUN, *options).returncode == 0
    merged = launched("merge", *files, alone=True)
    assert f"pi = 4*({hits(JOB)}/{JOB.total_points}) = " in merged.stdout, merged.stderr
    assert "Verification = SUCCESSFUL" in merged.stdout


def test_node_is_examined_and_cores_are_burnt_in(launched: Launched, ranks: int) -> None:
    """The rates on a busy machine are no concern here: the answers are."""
    node = launched("check", "--node", alone=True)
    assert re.search(
        r"^Known answer = right on (\d+) of \1 cores .*, kernel = numpy$", node.stdout, re.MULTILINE
    )
    burnt_in = launched("burn-in", "3s")
    rows = burnt_in.stdout.split("wrong units\n")[1].split("\n\n")[0].splitlines()
    assert [row.split()[-1] for row in rows] == ["0"]
    assert f"Hosts = 1, ranks = {ranks or 1}\n" in burnt_in.stdout
