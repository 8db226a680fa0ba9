"""The Makefile with blanks and quotes in names, and without access to the packages."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from mpi_pi.cluster import wheelhouse
from mpi_pi.cluster.platforms import Platform
from support.launching import BIN, MPI_PI, MPIRUN, ROOT, Launch
from support.texts import without_make

NAME = "it's My Docs, mpi pi ü (2) & more"
TELL = "import sys, json; print(json.dumps(sys.argv[1:]))"
TELLING = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{TELL}" "$0" "$@"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a project at such a path, whose programs record their arguments."""
    place = tmp_path / NAME
    programs = place / ".venv" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", place)
    for name in ("mpirun", "mpi-pi", "python", "ruff", "mypy", "lint-imports"):
        (programs / name).write_text(TELLING)
        (programs / name).chmod(0o755)
    return place


def make(
    folder: Path, *words: str, environment: Mapping[str, str] = os.environ, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Return the completed make in a folder."""
    return subprocess.run(
        ["make", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def told(folder: Path, *arguments: str) -> list[list[str]]:
    """Return the programs that make calls in a folder with a complete environment."""
    installed = [f"--old-file=.venv/{name}" for name in ("installed", "installed-test", "installed-plot")]
    run = make(folder, "--silent", *installed, *arguments)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[")]


def test_names_with_blanks_reach_every_command_whole(folder: Path) -> None:
    programs = folder / ".venv" / "bin"
    mpirun, mpi_pi = str(programs / "mpirun"), str(programs / "mpi-pi")
    hosts = "my $hosts's.hosts"
    assert told(folder, "run", "NP=2", f"ARGS=--json {shlex.quote('a b')}") == [
        [mpirun, "-n", "2", mpi_pi, "run", "-n", "1000", "-i", "100000", "--json", "a b"]
    ]
    assert told(folder, "run", f"HOSTFILE={hosts}")[-1][:4] == [mpirun, "-hostfile", hosts, mpi_pi]
    for command in ("deploy", "check-hosts"):
        assert told(folder, command, f"HOSTFILE={hosts}") == [[mpi_pi, command, "--mpirun", mpirun, hosts]]
    assert told(folder, "test")[-1] == [str(programs / "python"), "tests/run_all.py", mpirun]
    for packages in ("oldest", "debian"):
        (test,) = told(folder, "test", f"PACKAGES={packages}", "VENV=.venv")
        assert test[:2] == [str(programs / "python"), "tests/run_all.py"]
        assert test[2:] == ["mpirun.openmpi", "--packages", packages]
    assert told(folder, "test-3")[-1][1:] == ["tests/run_all.py", mpirun, "--only", "3"]
    *_, bench, report, plot = told(folder, "bench", f"HOSTFILE={hosts}", "BENCH_FOLDER=my results")
    assert bench[:4] == [mpi_pi, "bench", "all", "--launcher"]
    assert shlex.split(bench[4]) == [mpirun, "-hostfile", hosts]
    assert re.fullmatch(r"my results/\d.*-quick\.json", bench[6])
    assert report[2] == plot[2] == bench[6]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("PACKAGES=new",), "PACKAGES=new: choose PACKAGES=oldest, PACKAGES=debian or PACKAGES=newest"),
        (("PACKAGES=oldest", "MPI=mpich"), "PACKAGES=oldest MPI=mpich: choose MPI=system, since mpi4py 3 "),
    ],
)
def test_packages_that_cannot_be_had_are_refused(folder: Path, words: Sequence[str], says: str) -> None:
    run = make(folder, "test", *words)
    assert run.returncode == 2
    assert says in run.stderr
    assert not (folder / ".venv-oldest").exists()


def test_run_that_is_to_survive_starts_mpirun_so(folder: Path) -> None:
    mpirun = str(folder / ".venv" / "bin" / "mpirun")
    (run,) = told(folder, "run", "NP=2", "SURVIVE=1")
    assert run[:5] == [mpirun, "--with-ft", "ulfm", "-n", "2"]
    *_, on_hosts = told(folder, "run", "HOSTFILE=hosts", "SURVIVE=1")
    assert on_hosts[:5] == [mpirun, "--with-ft", "ulfm", "-hostfile", "hosts"]


@pytest.mark.parametrize("which", ["MPI=mpich", "MPI=system", "SURVIVE=yes"])
def test_run_that_cannot_survive_is_refused(folder: Path, which: str) -> None:
    run = make(folder, "run", "SURVIVE=1", which)
    assert run.returncode == 2
    (said,) = without_make(run.stderr)
    assert "choose SURVIVE=1 with MPI=embedded" in said
    assert without_make(run.stdout) == []


def test_launcher_with_blanks_in_its_path_works(launch: Launch, tmp_path: Path) -> None:
    """Start the real mpirun by a line that make has written."""
    place = tmp_path / NAME
    place.mkdir()
    (place / "mpirun").write_text(f'#!/bin/sh\nexec {shlex.quote(MPIRUN)} "$@"\n')
    (place / "mpirun").chmod(0o755)
    line = f"{shlex.quote(str(place))}/mpirun -n 2"
    file = place / "noise.json"
    run = launch(0, MPI_PI, "bench", "noise", "--launcher", line, "--json", str(file), timeout=120)
    assert run.returncode == 0, run.stderr
    assert "Ranks = 2 on 1 host" in run.stdout
    assert file.exists()


@pytest.mark.parametrize("name", ["a$b", 'a"b', "a`b", "a\\b", "a:b"])
def test_folder_name_that_breaks_environments_is_refused(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    shutil.copy(ROOT / "Makefile", place)
    (place / "pyproject.toml").touch()
    run = make(place, "run")
    said = without_make(run.stderr)
    assert run.returncode == 2
    assert len(said) == 1
    assert f"{place}/.venv" in said[0]
    assert "rename the folder" in said[0]
    assert not (place / ".venv").exists()


def test_unreachable_packages_are_explained(tmp_path: Path) -> None:
    """With the index at a port where nobody listens, a few lines say what to do."""
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "mpi_pi", tmp_path / "mpi_pi", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    environment |= {"PIP_NO_CACHE_DIR": "1"}
    python = tmp_path / "my python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(str(Path(sys.executable).resolve()))} "$@"\n')
    python.chmod(0o755)
    run = make(tmp_path, "run", f"PYTHON={python}", environment=environment, timeout=200)
    assert run.returncode == 2
    said = without_make(run.stderr)
    assert said[0].startswith("making .venv")
    assert said[1].startswith("mpi_pi: the packages could not be installed: ERROR: ")
    assert len(said) <= 5
    assert "run make wheelhouse in this folder on any machine that has one" in run.stderr
    assert "MPI=system" not in run.stderr
    assert "Connection refused" in (tmp_path / ".venv" / "pip.log").read_text()


def test_python_that_an_archive_is_not_for_is_refused(tmp_path: Path) -> None:
    """One line says what the archive is for, before anything is made."""
    (tmp_path / "wheels").mkdir()
    archive = [Platform(f"3.{minor}.0", "aarch64", "2.28") for minor in (11, 12)]
    (tmp_path / wheelhouse.FOLDER / wheelhouse.LIST).write_text(wheelhouse.listing(archive))
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$*" in *platform*) echo Python 3.1 on aarch64;; esac\n')
    python.chmod(0o755)
    run = make(tmp_path, "run", f"PYTHON={python}")
    assert run.returncode == 2
    (said,) = without_make(run.stderr)
    assert said == (
        "mpi_pi: the packages in the folder wheels are for Python 3.11 and 3.12 on aarch64, with glibc 2.28"
        " or newer, and this is Python 3.1 on aarch64: make PYTHON=… with one of these, or make another"
        " archive, where there is internet: make wheelhouse ARGS='--python 3.1 --machine aarch64'"
    )
    assert not (tmp_path / ".venv").exists()


def test_environment_below_a_name_with_blanks_works(tmp_path: Path) -> None:
    """Scripts that the tests write for their environments work there, too."""
    from support import mpis

    prefix = mpis._environment(tmp_path / NAME)
    run = subprocess.run(
        [prefix / "bin" / "mpi-pi", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    told = subprocess.run([BIN / "mpi-pi", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == told.stdout
