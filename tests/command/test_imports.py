"""Packages that are broken, hidden or missing: one line tells which, why and what helps."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mpi_pi.storage import result_file
from mpi_pi.system import imports
from support import runs
from support.lacks import lack
from support.launching import MPI_PI, Launch
from support.mpis import Mpi, needs_any_mpi

RUN = ("run", "-n", "10", "-i", "1000", "--seed", "1")
PACKAGES = Path(np.__file__).parents[1]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Make a folder with a NumPy without compiled modules, like one for another Python."""
    source = Path(np.__file__).parent
    leave = shutil.ignore_patterns("*.so", "tests", "__pycache__", "*.pyi", "f2py", "lib*")
    shutil.copytree(source, tmp_path / "numpy", ignore=leave)
    return tmp_path


def own_lines(stderr: str) -> list[str]:
    assert "Traceback" not in stderr
    return [line for line in stderr.splitlines() if "mpi-pi: " in line]


@pytest.mark.parametrize(
    "command", [" ".join(RUN), "check", "merge a", "plot a -o a.png", "report a -o a.html"]
)
def test_numpy_for_another_python_is_explained(launch: Launch, foreign: Path, command: str) -> None:
    run = launch(0, MPI_PI, *command.split(), PYTHONPATH=str(foreign))
    (line,) = own_lines(run.stderr)
    words = r"mpi-pi: error: NumPy cannot be imported: No module named 'numpy\._?core"  # NumPy 2 or 1
    assert re.match(words, line)
    assert line.endswith(f"PYTHONPATH leads to {foreign / 'numpy' / '__init__.py'}: unset PYTHONPATH")
    assert (run.returncode, run.stdout) == (1, "")


def test_import_error_of_all_ranks_is_said_by_one(
    mpi: Mpi, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "numpy.py").write_text("")
    run = subprocess.run(
        [mpi.mpirun, "-n", "3", mpi.mpi_pi, *RUN],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment | {"PYTHONPATH": str(tmp_path)},
        check=False,
    )
    (line,) = own_lines(run.stderr)
    assert line.startswith("mpi-pi: error: NumPy cannot be imported: ")
    assert run.returncode != 0


def test_import_error_of_one_rank_names_the_rank(
    mpi: Mpi, environment: dict[str, str], tmp_path: Path
) -> None:
    """The other ranks wait for it in MPI_Init."""
    (tmp_path / "numpy.py").write_text("")
    own = [mpi.mpi_pi, *RUN]
    run = subprocess.run(
        [mpi.mpirun, "-n", "1", *own, ":", "-n", "1", "env", f"PYTHONPATH={tmp_path}", *own],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    (line,) = own_lines(run.stderr)
    assert re.search(r"mpi-pi: error: rank 1 on host \S+: NumPy cannot be imported: ", line)
    assert run.returncode != 0


def test_file_system_without_execution_is_explained(launch: Launch, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        lack("only root can mount a file system")
    command = ["mount", "-t", "tmpfs", "-o", "noexec,size=300m", "none", str(tmp_path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        lack("no file system can be mounted")
    try:
        for folder in PACKAGES.glob("numpy*"):
            shutil.copytree(folder, tmp_path / folder.name)
        run = launch(0, MPI_PI, *RUN, PYTHONPATH=str(tmp_path))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    (line,) = own_lines(run.stderr)
    assert "NumPy cannot be imported: " in line
    assert "failed to map segment" in line
    assert "noexec" in line
    assert run.returncode == 1


@needs_any_mpi
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("MPI4PY_MPIABI", "nonsense", "cannot import name 'MPI'"),
        ("MPI4PY_LIBMPI", "/no/such/libmpi.so", "cannot load MPI library"),
    ],
)
def test_wrong_choice_of_mpi_is_explained(launch: Launch, variable: str, value: str, words: str) -> None:
    run = launch(0, MPI_PI, *RUN, **{variable: value})
    (line,) = own_lines(run.stderr)
    assert f"mpi4py cannot be imported: {words}" in line.replace("RuntimeError: ", "")
    assert line.endswith(f"unset {variable}, which says {value!r}")
    assert run.returncode == 1


@pytest.mark.parametrize(
    ("package", "says"),
    [
        ("numba", "warning: rank 0: numba cannot be imported: "),
        ("llvmlite", "warning: rank 0: llvmlite (for numba) cannot be imported: "),
        ("tqdm", "warning: argument --progress: tqdm cannot be imported: "),
    ],
)
def test_run_does_without_optional_packages(
    launch: Launch, tmp_path: Path, package: str, says: str, request: pytest.FixtureRequest
) -> None:
    if package != "tqdm":
        request.getfixturevalue("compiled")
    (tmp_path / f"{package}.py").write_text("")
    cache = str(tmp_path / "cache")
    empty = ("--cache", cache) if package != "tqdm" else ()
    run = launch(0, MPI_PI, *RUN, *empty, "--progress", "on", PYTHONPATH=str(tmp_path))
    (line,) = (line for line in run.stderr.splitlines() if "mpi-pi: " in line)
    assert says in line
    assert "unset PYTHONPATH" in line
    assert run.returncode == 0
    if package == "numba":
        run = launch(0, MPI_PI, *RUN, "--cache", cache, "--kernel", "numba", PYTHONPATH=str(tmp_path))
        assert "argument --kernel: 'numba': numba cannot be imported" in run.stderr
        assert run.returncode == 1


def test_broken_matplotlib_is_explained(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("")
    (tmp_path / "r.json").write_text(result_file.as_json(runs.run(2)))
    picture = str(tmp_path / "r.png")
    run = launch(0, MPI_PI, "plot", str(tmp_path / "r.json"), "-o", picture, PYTHONPATH=str(tmp_path))
    (line,) = own_lines(run.stderr)
    assert "matplotlib cannot be imported: No module named 'matplotlib.figure'" in line
    assert run.returncode == 1
    assert not Path(picture).exists()


@pytest.mark.parametrize("name", ["random", "numpy", "typing", "mpi4py"])
def test_file_in_the_present_folder_hides_nothing(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"{name}.py").write_text("raise SystemExit('mine')")
    run = launch(0, sys.executable, "-m", "mpi_pi", *RUN)
    assert (run.returncode, run.stderr) == (0, "")


def test_missing_package_is_explained_by_its_installation() -> None:
    with pytest.raises(
        imports.PackageError, match=r"^no_such_package cannot be imported: .*: pip install no_such_package$"
    ):
        imports.require("no_such_package", "anything")


def test_too_little_memory_is_explained(launch: Launch) -> None:
    """Whatever reaches its limit first, the run soon ends with a status and without a traceback of ours."""
    for kilobytes in (60_000, 100_000, 250_000):
        run = launch(0, "sh", "-c", f"ulimit -v {kilobytes}; exec {MPI_PI} {' '.join(RUN)}")
        assert "mpi_pi/cli/main.py" not in run.stderr
        assert (run.returncode == 0) == ("Verification" in run.stdout)
