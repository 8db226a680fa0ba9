"""Equal hits and reports with every MPI: Open MPI and MPICH, from PyPI and from Debian."""

import contextlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mpi_pi.kernel import reference
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.storage import checkpoint
from support.cluster import until
from support.faults import MESSAGE, Fault, Faults
from support.launching import ENDLESS, ROOT, Launch, under_mpirun
from support.mpis import Found, Mpi, there
from support.processes import leftovers
from support.schemas import RUN as SCHEMA
from support.terminal import on_a_terminal

JOB = Job(300, 10_001, 5)
RUN = ("run", "-n", "300", "-i", "10001", "--seed", "5")


@pytest.fixture(scope="module")
def pi() -> str:
    hits = int(reference.count(JOB, range(JOB.units)).sum())
    return f"pi = 4*({hits}/{JOB.total_points}) = "


def lines(text: str) -> list[list[str]]:
    """Return the names of a report's values and the heads of its tables.

    Lines that only a run on several ranks, or under a launcher, has are left out.
    """
    names = [
        line.partition(" = ")[0]
        for line in text.splitlines()
        if " = " in line or line.startswith(("host ", "rank "))
    ]
    return [name.split() for name in names if name not in ("Hits of ranks", "Launcher")]


def keys(value: Any) -> Any:
    """Return the keys of a JSON document."""
    if isinstance(value, dict):
        return {key: keys(inner) for key, inner in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value else None


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[list[str]], Any]:
    """Return the report, and its JSON, of a run without mpirun."""
    file = tmp_path_factory.mktemp("alone") / "o.json"
    command = [sys.executable, "-m", "mpi_pi", *RUN, "--per-rank", "--json", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return lines(run.stdout), keys(json.loads(file.read_text()))


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_hits_and_report_are_the_same(
    mpi: Mpi, launch: Launch, tmp_path: Path, pi: str, alone: tuple[list[list[str]], Any], ranks: int
) -> None:
    file = tmp_path / "o.json"
    options = ("--per-rank", "--json", str(file))
    run = launch(0, mpi.mpirun, "-n", str(ranks), mpi.mpi_pi, *RUN, *options)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert pi in run.stdout
    assert f"MPI = {mpi.library}\n" in run.stdout.replace("\r", "")
    assert f"Ranks = {ranks} on 1 host" in run.stdout
    assert "Verification = SUCCESSFUL" in run.stdout
    document = json.loads(file.read_text())
    jsonschema.validate(document, SCHEMA)
    assert len(document["ranks"]) == ranks
    del document["steps"]["launcher"]
    assert (lines(run.stdout), keys(document)) == alone


def test_run_without_mpirun_counts(mpi: Mpi, launch: Launch, pi: str) -> None:
    assert pi in launch(0, mpi.mpi_pi, *RUN).stdout


def test_more_ranks_than_cores_with_make(mpi: Mpi, environment: dict[str, str], pi: str) -> None:
    """Start at least four ranks, for a user who has set no options and may be root."""
    nothing_set = {
        name: value for name, value in environment.items() if "OMPI" not in name and "PRTE" not in name
    }
    ranks = str(max(4, (os.cpu_count() or 1) + 1))
    run = subprocess.run(
        mpi.make("run", f"NP={ranks}", "TRIALS=300", "POINTS=10001", "ARGS=--seed 5"),
        cwd=ROOT,
        env=nothing_set,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert pi in run.stdout
    assert f"Ranks = {ranks} on 1 host" in run.stdout
    assert f"MPI = {mpi.library}\n" in run.stdout.replace("\r", "")


def test_mpirun_of_another_mpi_brings_its_library(found: Found, mpi: Mpi, launch: Launch, pi: str) -> None:
    """Of several MPIs on a machine, ranks use the one that their mpirun belongs to.

    It has to be the machine's: other environments are not searched.
    """
    other = there(found, "Debian's Open MPI" if mpi.is_mpich else "Debian's MPICH")
    run = launch(0, other.mpirun, "-n", "2", mpi.mpi_pi, *RUN)
    assert run.returncode == 0, run.stderr
    assert pi in run.stdout
    assert f"MPI = {other.library.split()[0]} " in run.stdout


def test_bad_usage_is_one_line(mpi: Mpi, launch: Launch) -> None:
    run = launch(0, mpi.mpirun, "-n", "3", mpi.mpi_pi, "run", "-n", "0", "-i", "5")
    ours = [line for line in run.stderr.splitlines() if "mpi-pi: " in line]
    assert ours == ["mpi-pi: error: argument -n/--trials: '0': at least 1 trial is needed"]
    assert run.returncode == 2
    assert run.stdout == ""


@pytest.mark.parametrize("deed", ["raise", "SIGKILL"])
def test_failure_on_one_rank_ends_the_job(mpi: Mpi, launch: Launch, faults: Faults, deed: str) -> None:
    program = faults.program(Fault("in the kernel", deed, rank=1), python=mpi.python)
    mark, before = str(secrets.randbits(60)), shared_memory()
    run = launch(0, mpi.mpirun, "-n", "3", program, *ENDLESS, "--seed", mark, timeout=30)
    assert run.returncode != 0
    assert "Verification" not in run.stdout
    assert (MESSAGE in run.stderr) == (deed == "raise")
    assert not leftovers(mark)
    for file in shared_memory() - before:
        with contextlib.suppress(OSError):
            file.unlink()


def shared_memory() -> set[Path]:
    """Return the shared memory of killed ranks, which MPICH 5 leaves behind: 1 MB each."""
    return set(Path("/dev/shm").glob("mpich_shm_*"))


def test_another_mpi_goes_on_from_a_checkpoint(
    found: Found, mpi: Mpi, launch: Launch, environment: dict[str, str], tmp_path: Path, kernel: Kernel
) -> None:
    """The run is stopped by SIGUSR1 to mpirun, as batch systems send it."""
    job, file = Job(20_000, 10_000, 7), tmp_path / "c"
    command = ["run", "-n", "20k", "-i", "10k", "--seed", "7", "--checkpoint", str(file)]
    slowly = ["--kernel", "numpy", "--checkpoint-every", "0.1s"]
    with subprocess.Popen(
        [mpi.mpirun, "-n", "2", mpi.mpi_pi, *command, *slowly],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            until(lambda: (part := checkpoint.load(file)) and part.tally.units, "a checkpoint", 60)
            process.send_signal(signal.SIGUSR1)
            out, _ = process.communicate(timeout=20)
        except BaseException:
            process.kill()
            raise
    assert "Partial = " in out
    others = [one for one in found.values() if isinstance(one, Mpi)]
    other = others[(others.index(mpi) + 1) % len(others)]
    run = launch(0, other.mpirun, "-n", "3", other.mpi_pi, *command)
    assert run.returncode == 0, run.stderr
    hits = int(kernel.count(job, range(job.units)).sum())
    assert f"pi = 4*({hits}/{job.total_points}) = " in run.stdout
    assert "Resumed = 1 time" in run.stdout


def test_ctrl_c_on_a_terminal_ends_the_run_with_its_report(mpi: Mpi, environment: dict[str, str]) -> None:
    """The terminal shows the progress bar, then the report on the points counted so far."""
    command = [mpi.mpirun, "-n", "2", mpi.mpi_pi, *ENDLESS]
    shown = on_a_terminal(command, environment, keys=b"\x03", after="points/s]")
    assert "Partial = " in shown
    assert "Verification = SUCCESSFUL" in shown
    assert "Traceback" not in shown


def test_check_works_with_every_mpi(mpi: Mpi, launch: Launch) -> None:
    run = launch(0, mpi.mpirun, "-n", "2", mpi.mpi_pi, "check")
    assert "mpi-pi: " not in run.stderr
    assert "Hosts = 1, ranks = 2\n" in run.stdout.replace("\r", "")
    assert "Known answer = right on 2 of 2 ranks" in run.stdout
    assert f"MPI = {mpi.library}\n" in run.stdout.replace("\r", "")
    assert run.returncode == (0 if "Fit = yes" in run.stdout else 1)  # the machine may be busy


ASK = ("run", "--ask", "--seed", "5")
POINTS, TRIALS = "How many points in each trial?", "How many trials?"


@pytest.mark.parametrize("redirect", ["", "2>/dev/null"])
def test_make_passes_on_the_prompt(mpi: Mpi, environment: dict[str, str], pi: str, redirect: str) -> None:
    """The question appears before the answer is typed, on whichever stream is a terminal."""
    make = f'"$@" {redirect}'
    command = ["sh", "-c", f"cd {ROOT} && {make}", "sh", *mpi.make("run", "NP=2", "ARGS=--ask --seed 5")]
    shown = on_a_terminal(command, environment, keys=b"10001\n300\n", after=POINTS)
    assert TRIALS in shown
    assert pi in shown


def test_ctrl_d_is_no_answer(mpi: Mpi, environment: dict[str, str]) -> None:
    status = ["sh", "-c", '"$@"; echo "status $?"', "sh"]
    command = [*status, mpi.mpirun, "-n", "2", mpi.mpi_pi, *ASK]
    shown = on_a_terminal(command, environment, keys=b"\x04", after=POINTS)
    assert shown.count("mpi-pi: error: argument --ask: standard input has no answer") == 1
    assert "status 2" in shown


@pytest.mark.parametrize("ranks", [0, 2])
def test_answers_from_a_pipe_that_ends_without_a_line_end(
    mpi: Mpi, environment: dict[str, str], pi: str, ranks: int
) -> None:
    run = subprocess.run(
        under_mpirun(ranks, mpi.mpi_pi, *ASK, mpirun=mpi.mpirun),
        input=b"10001\r\n300",
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert pi in run.stdout.decode()


def test_debians_mpich_works_as_the_only_mpi(found: Found, launch: Launch, pi: str) -> None:
    """The process is made to believe that the loader finds no other MPI."""
    mpich = there(found, "Debian's MPICH")
    hidden = [path for path in Path("/usr/lib").glob("*/libmpi.so*") if not path.is_symlink()]
    hide = " && ".join(f"mount --bind /dev/null {path}" for path in hidden) or "true"
    alone = shlex.join([mpich.mpi_pi, *RUN])
    command = f"{hide} && {alone} && exec {mpich.mpirun} -n 2 {alone}"
    run = launch(0, "unshare", "-rm", "sh", "-c", command)
    if "unshare" in run.stderr:
        pytest.skip(run.stderr)
    assert run.stdout.count(pi) == 2
    assert run.stdout.count(f"MPI = {mpich.library}\n") == 2
