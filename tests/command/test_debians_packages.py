"""The command with Debian's own packages alone, as hostfiles/README.md has it for 32-bit systems."""

import json
import subprocess
from pathlib import Path

import pytest

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job
from support.lacks import lack, missing, packages
from support.launching import ROOT, finish

PYTHON = "/usr/bin/python3"
JOB = Job(100, 10_001, 5)
RUN = ("run", "-n", "100", "-i", "10001", "--seed", "5")
PACKAGES = ("openmpi-bin", "python3-mpi4py", "python3-numpy", "python3-tqdm")


@pytest.fixture(autouse=True)
def _packages() -> None:
    if lacking := missing(name for package in PACKAGES for name in packages()[package]):
        lack(*lacking)


@pytest.mark.parametrize("ranks", [0, 3])
def test_run_merge_and_check_work(environment: dict[str, str], tmp_path: Path, ranks: int) -> None:
    launcher = ["mpirun.openmpi", "-n", str(ranks)] if ranks else []
    # Only what the machine itself has: no packages of the user, either.
    environ = environment | {"PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1", "MPI_PI_CACHE": str(tmp_path)}

    def launched(*words: str) -> subprocess.CompletedProcess[str]:
        return finish([*launcher, PYTHON, "-m", "mpi_pi", *words], environ)

    file = tmp_path / "result.json"
    run = launched(*RUN, "--json", str(file))
    assert run.returncode == 0, run.stderr
    estimate = json.loads(file.read_text())["estimate"]
    assert estimate["hits"] == int(reference.count(JOB, range(JOB.units)).sum())
    assert "Verification = SUCCESSFUL" in run.stdout
    assert f"Ranks = {ranks or 1} on 1 host" in run.stdout
    run = launched("check")
    assert f"Known answer = right on {ranks or 1} of {ranks or 1} ranks" in run.stdout
    merged = finish([PYTHON, "-m", "mpi_pi", "merge", str(file)], environ)
    assert f"pi = 4*({estimate['hits']}/{JOB.total_points}) = " in merged.stdout, merged.stderr
