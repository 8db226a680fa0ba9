"""The command `mpi-pi check --node` on this machine, whatever else that does."""

import json
import platform
import re
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest

from mpi_pi.system import machine
from support import lacks, scripts, sensors
from support.faults import MESSAGE, Fault, Faults
from support.launching import MPI_PI, ROOT, Launch
from support.schemas import CHECK as SCHEMA

NODE = platform.node()
CORES = len(machine.online())

PATIENT: dict[str, float | str] = {
    "check.node:ANSWER_SECONDS": 20.0,
    "cli.check_node:COMPILED_BY_SECONDS": 30.0,
    "cli.check_node:GIVE_UP_SECONDS": 40.0,
}
COMPILING: dict[str, float | str] = {
    "cli.check_node:COMPILED_BY_SECONDS": 150.0,
    "cli.check_node:GIVE_UP_SECONDS": 160.0,
}
ALONE: dict[str, float | str] = {"system.slurm:STEP_PROGRAM": "no such program"}
CALM = ALONE | {"check.node:MAX_SHARE_OF_OTHERS": 2.0, "check.rules.speed:MIN_SHARE": 0.0}
"""Values with which the node is neither busy nor slow."""
BUSY = ALONE | {"check.node:MAX_SHARE_OF_OTHERS": -1.0}


@pytest.mark.usefixtures("compiled")
def test_calm_node_is_fit(launch: Launch, faults: Faults, tmp_path: Path) -> None:
    run = launch(
        0, faults.program(values=PATIENT | CALM), "check", "--node", "--json", str(tmp_path / "o.json")
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("\nFit = yes\n")
    assert f"Known answer = right on {CORES} of {CORES} cores (" in run.stdout
    document = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["fit"]
    (host,) = document["hosts"]
    assert (host["host"], host["link"]) == (NODE, None)
    assert host["points_per_second"] == pytest.approx(
        sum(row["points_per_second"] for row in document["ranks"])
    )
    assert [row["rank"] for row in document["ranks"]] == machine.online()
    assert all(row["cpus"] == [row["rank"]] and row["right"] for row in document["ranks"])


def test_busy_node_is_not_measured(launch: Launch, faults: Faults) -> None:
    run = launch(0, faults.program(values=PATIENT | BUSY), "check", "--node", "--json", "-")
    document = json.loads(run.stdout)
    jsonschema.validate(document, SCHEMA)
    assert run.returncode == 0
    assert document["fit"]
    assert document["hosts"][0]["points_per_second"] is None
    told = [found["text"] for found in document["findings"]]
    assert any(text.startswith(f"{NODE} (programs on {CORES} of {CORES} core") for text in told)


@pytest.mark.usefixtures("compiled")
def test_bare_environment_without_mpi_suffices(faults: Faults, tmp_path: Path) -> None:
    """slurmd gives a health check nothing else; mpi4py is broken, and there is no place for a cache."""
    (tmp_path / "mpi4py.py").write_text("raise RuntimeError('broken')\n")
    program = faults.program(values=PATIENT | BUSY | COMPILING)
    run = subprocess.run(
        [program, "check", "--node", "--cache", "/proc/no"],
        env={"SLURMD_NODENAME": "n", "PWD": "/", "SHLVL": "1", "PYTHONPATH": str(tmp_path)},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert run.stdout.endswith("\nFit = yes, speed not measured\n"), run.stderr
    assert run.returncode == 0
    assert f"note: {NODE}: compile cache not used: /proc/no: " in run.stdout
    assert run.stderr == ""


def test_every_core_is_examined_by_a_process_that_is_bound_to_one(launch: Launch, faults: Faults) -> None:
    """Also in a step of Slurm, each of whose tasks examines its node."""
    lacks.require("taskset")
    program = faults.program(values=PATIENT | BUSY)
    step = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}
    run = launch(0, "taskset", "--cpu-list", str(machine.online()[0]), program, "check", "--node", **step)
    assert run.returncode == 0, run.stderr
    assert f"Known answer = right on {CORES} of {CORES} cores (" in run.stdout


def test_wrong_answers_are_a_fault(launch: Launch, faults: Faults) -> None:
    run = launch(
        0, faults.program(Fault("in the known answers", "nothing"), values=PATIENT | BUSY), "check", "--node"
    )
    assert run.returncode == 1
    last = run.stdout.splitlines()[-1]
    assert re.match(
        rf"Fit = no: {re.escape(NODE)} \(cores? [\d, -]+\): the known answers are counted wrong", last
    )
    assert f"Known answer = right on 0 of {CORES} cores" in run.stdout


def test_uncorrected_memory_errors_are_a_fault(launch: Launch, faults: Faults, tmp_path: Path) -> None:
    root = sensors.write(tmp_path, sensors.INTEL)
    values = PATIENT | BUSY | {"system.sensors:ROOT": str(root)}
    run = launch(0, faults.program(values=values), "check", "--node")
    assert run.returncode == 1
    assert run.stdout.splitlines()[-1].startswith(f"Fit = no: {NODE} (1): memory errors that could not be")
    assert f"note: {NODE} (3 in mc0 dimm1): memory errors since it was switched on, which" in run.stdout


@pytest.mark.usefixtures("compiled")
def test_kernel_that_is_not_compiled_in_time_is_replaced(launch: Launch, faults: Faults) -> None:
    values = {"cli.check_node:COMPILED_BY_SECONDS": 4.0, "cli.check_node:GIVE_UP_SECONDS": 50.0}
    values |= {"check.node:ANSWER_SECONDS": 40.0}
    program = faults.program(Fault("in the cache", "sleep", seconds=60), values=values)
    run = launch(0, program, "check", "--node")
    assert run.returncode == 0, run.stdout
    assert run.stdout.endswith("\nFit = yes, speed not measured\n")
    assert "kernel = numpy\n" in run.stdout
    assert f"note: {NODE}: its kernel was not compiled in time, so that its speed was" in run.stdout


@pytest.mark.parametrize(
    ("fault", "values", "why"),
    [
        (Fault("in the loading of the kernel"), PATIENT, f"RuntimeError: {MESSAGE}"),
        (Fault("in the loading of the kernel", "exhaust"), PATIENT, "MemoryError\n"),
        (
            Fault("in the loading of the kernel", "SIGKILL"),
            PATIENT,
            "ended by signal 9 while loading the kernel",
        ),
        (
            Fault("in the loading of the kernel", "sleep", seconds=60),
            {"cli.check_node:COMPILED_BY_SECONDS": 3.0, "cli.check_node:GIVE_UP_SECONDS": 6.0},
            "no end within 6 s of ",
        ),
    ],
    ids=["raises", "lacks memory", "is killed", "hangs"],
)
def test_examination_that_fails_is_no_fault_of_the_node(
    launch: Launch, faults: Faults, fault: Fault, values: dict[str, float | str], why: str
) -> None:
    run = launch(0, faults.program(fault, values=values), "check", "--node")
    assert run.returncode == 75
    assert run.stdout.startswith(f"Fit = unknown: {why}")
    assert run.stdout.count("\n") == 1
    assert "Traceback" not in run.stderr


def test_file_that_cannot_be_written_is_refused(launch: Launch) -> None:
    run = launch(0, MPI_PI, "check", "--node", "--json", "/no/such/folder/o.json")
    assert (run.returncode, run.stdout) == (2, "")
    assert (
        run.stderr == "mpi-pi: error: argument --json: '/no/such/folder/o.json': No such file or directory\n"
    )


def test_health_check_does_not_wait_for_a_check_that_hangs(tmp_path: Path) -> None:
    """Nor does the next one begin another, while the first still hangs."""
    scripts.write(tmp_path / "hangs", "import time; print('not yet', flush=True); time.sleep(30)")

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "jobscripts" / "health-check.sh")],
            env={
                "SLURMD_NODENAME": "n",
                "MPI_PI": str(tmp_path / "hangs"),
                "LIMIT": "2",
                "LOCK": str(tmp_path / "lock"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    start = time.monotonic()
    run = check()
    assert (run.returncode, run.stdout.splitlines()) == (75, ["not examined (status missing): not yet"])
    run = check()
    assert (run.returncode, run.stdout) == (75, "the check before this one has not ended\n")
    assert time.monotonic() - start < 30
