"""Every command of the README, run here or by the test that is named for it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job
from support import lacks
from support.launching import BIN, MPI_PI, MPIRUN, ROOT, Launch
from support.references import lost
from support.texts import without_make

README = (ROOT / "README.md").read_text()

SCRIPTS = "cluster/test_job_scripts.py"
OVER_SSH = f"{SCRIPTS}::test_hostfile_over_ssh_starts_ranks_on_all_hosts"
ARRAY = f"{SCRIPTS}::test_array_script_and_its_merge_count_the_whole"
BURNT_IN = "command/test_burn_in.py::test_report_follows_the_schema"
CHECKED = "cluster/test_check.py::test_hosts_have_a_row_each"
ELSEWHERE = {
    "make test": "this is it",
    ". .venv/bin/activate": "done to each of the others",
    "sbatch jobscripts/single-node.sbatch": f"{SCRIPTS}::test_single_node_script_counts",
    "job=$(sbatch --parsable jobscripts/array.sbatch)": ARRAY,
    "sbatch --dependency=afterany:$job jobscripts/merge.sbatch $job": ARRAY,
    "make deploy HOSTFILE=hostfiles/octapi.hosts": "cluster/test_deploy.py::test_make_deploy_works",
    "make check-hosts HOSTFILE=hostfiles/octapi.hosts": "a command of hostfiles/README.md, too",
    "mpirun -hostfile hostfiles/octapi.hosts mpi-pi check": CHECKED,
    "mpirun -hostfile hostfiles/octapi.hosts mpi-pi run -i 10000 -n 1000000": OVER_SSH,
    "mpirun -hostfile hostfiles/octapi.hosts mpi-pi burn-in 24h --json burn-in.json": BURNT_IN,
    "mpi-pi plot burn-in.json -o burn-in.png": "command/test_burn_in.py::test_picture_of_a_burn_in_is_drawn",
}

SAID = {
    "run --help": "usage: mpi-pi run",
    "make bench": "\nResults = ",
    "bench scaling": "\nSame hits = yes",
    "bench latency": "\nmodel, not measured",
    "bench compare": "\nLost in noise = ",
    "mpi-pi plot": "",
    "mpi-pi report": "",
}
"""Output of commands that do not count."""

blocks = re.findall(r"^```shell\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
commands = [line for block in blocks for line in block.splitlines()]


def test_commands_were_found() -> None:
    assert lost(ELSEWHERE.values()) == []
    assert {"make run", *ELSEWHERE} <= set(commands)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of a reader who runs all commands: some read what others have written."""
    return tmp_path_factory.mktemp("reader")


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("command", [command for command in commands if command not in ELSEWHERE])
def test_command_of_the_readme_works(command: str, environment: dict[str, str], reader: Path) -> None:
    folder = reader
    if command.startswith("make"):
        if not (ROOT / ".venv" / "installed").exists():
            pytest.skip("no .venv here: make would take minutes to make one")
        folder = ROOT
    launcher = Path(MPIRUN).parent if "/" in MPIRUN else BIN
    path = f"{BIN}:{launcher}:{environment['PATH']}"
    run = subprocess.run(  # noqa: S602  # a shell, as people type it into one
        command,
        shell=True,
        cwd=folder,
        env=environment | {"PATH": path, "BENCH_FOLDER": str(reader / "bench")},
        capture_output=True,
        text=True,
        timeout=280,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if "compare" in command:  # which may find anything, as the machine is just now
        counts = re.findall(r"^(?:Slower|Faster|Same|Lost in noise) = (\d) of 4$", run.stdout, re.MULTILINE)
        assert sum(map(int, counts)) == 4  # a latency, two bandwidths and a round
        assert len(re.findall(r"^(?:latency|bandwidth|round)\b", run.stdout, re.MULTILINE)) == 4
        assert run.returncode == (counts[0] != "0")
    else:
        assert run.returncode == 0, run.stderr
    said = next((said for part, said in SAID.items() if part in command), "Verification = SUCCESSFUL")
    assert said in run.stdout
    if "-n 300 -i 10k --seed 42" in command:
        hits = reference.count(Job(300, 10_000, 42), range(300)).sum()
        assert f"({hits}/3000000)" in run.stdout
    if "merge" in command:
        hits = reference.count(Job(1000, 10_000, 42), range(1000)).sum()
        assert f"({hits}/10000000)" in run.stdout


def names(text: str) -> list[str]:
    """Return the names of the lines of a report, except those that not every machine has, or a busy one."""
    found = re.findall(r"^(.+?) = ", text, re.MULTILINE)
    return [name for name in found if name not in ("CPU", "Core share")]


def test_output_in_the_readme_has_the_lines_of_the_program(launch: Launch) -> None:
    hits = reference.count(Job(1000, 100_000, 2017), range(1000)).sum()
    assert f"\npi = 4*({hits}/100000000) = " in README
    run = launch(2, MPI_PI, "run", "-n", "1000", "-i", "100000", "--seed", "2017")
    (shown,) = re.findall(r"^\$ make run .*?^```", README, re.MULTILINE | re.DOTALL)
    assert names(run.stdout) == names(shown)


def test_library_example_of_the_readme_works(launch: Launch) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    run = launch(1, sys.executable, "-c", program)
    assert run.stdout.split()[1:] == ["True"], run.stderr


def test_example_in_the_package_works(launch: Launch) -> None:
    run = launch(1, sys.executable, "-m", "doctest", "-v", str(ROOT / "mpi_pi" / "__init__.py"))
    assert run.returncode == 0, run.stdout
    assert "3 passed" in run.stdout


def test_make_help_lists_the_targets() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    ).stdout
    for target in ("run", "deploy", "check-hosts", "check", "test", "bench", "soak", "clean"):
        assert re.search(rf"^ +make {target} ", listed, re.MULTILINE)


def test_benchmark_has_a_rank_for_each_core(tmp_path: Path) -> None:
    """Simulate cores with two hardware threads each; Open MPI may bind ranks to cores."""
    tools = {"python3": "echo 4", "nproc": "echo 8"}
    for name, line in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)

    def said(*arguments: str) -> str:
        told = "--eval=told: ; : $(WHERE) $(PRTE_MCA_rmaps_default_mapping_policy)"
        return subprocess.run(
            ["make", "--dry-run", told, "told", *arguments],
            cwd=ROOT,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.splitlines()[0]

    assert said("bench") == ": -n 4 "
    assert said("bench", "NP=4") == ": -n 4 "
    assert said("bench", "NP=5") == ": -n 5 :oversubscribe"
    assert said("run") == ": -n 8 :oversubscribe"


def test_benchmark_of_an_unknown_kind_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    run = subprocess.run(
        ["make", "bench", "BENCH=ful"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("BENCH=ful: choose BENCH=quick or BENCH=full\n")
    assert run.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"Makefile", "pyproject.toml"}


def test_missing_python_or_mpi_is_one_line(tmp_path: Path) -> None:
    """Simulate a machine without Python's venv module, and one without an MPI of its own."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexit 0\n')
    python.chmod(0o755)
    for arguments, hint in (
        ([f"PYTHON={python}"], "apt-get install python3-venv"),
        (["PYTHON=/no/python3"], "apt-get install python3 python3-venv"),
        (["MPI=system"], "apt-get install openmpi-bin"),
    ):
        tools = {name: shutil.which(name) for name in ("make", "sh", "id", "nproc")}
        tools["python3"] = os.path.realpath(sys.executable)
        (tmp_path / "bin").mkdir(exist_ok=True)
        for name, place in tools.items():
            link = tmp_path / "bin" / name
            if place and not link.exists():
                link.symlink_to(place)
        run = subprocess.run(
            [str(tmp_path / "bin" / "make"), "run", *arguments],
            cwd=tmp_path,
            env={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = without_make(run.stderr)
        assert run.returncode != 0
        assert len(said) == 1
        assert hint in said[0]


def test_every_job_script_is_submitted_and_told_of() -> None:
    submitted = (ROOT / "tests" / "cluster" / "test_job_scripts.py").read_text()
    for script in (ROOT / "jobscripts").glob("*.sbatch"):
        assert f'"{script.name}"' in submitted
        assert script.name in README
        question = script.read_text().splitlines()[1]
        assert question.startswith("# ")
        assert question.endswith("?")
        assert f"| {question[2:]} |" in README or script.name == "merge.sbatch"


def test_job_scripts_are_clean() -> None:
    lacks.require("shellcheck")
    kinds = (".sh", ".sbatch", ".nhc", ".pbs", ".lsf", ".flux")
    scripts = [str(path) for path in (ROOT / "jobscripts").rglob("*") if path.suffix in kinds]
    assert len(scripts) >= 14
    found = subprocess.run(
        ["shellcheck", "-x", *scripts, *map(str, (ROOT / ".ci").iterdir())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.stdout == ""
