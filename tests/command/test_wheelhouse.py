"""`mpi-pi wheelhouse` where something is in its way."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from mpi_pi.cluster import packing
from support import archives, lacks
from support.launching import MPI_PI, ROOT

FULL = """
import sys
from pathlib import Path
from mpi_pi.cluster import pip
from mpi_pi.cluster.platforms import here
try:
    pip.download(["large"], (), here(), Path(sys.argv[1]))
except pip.DiskFull as error:
    print(error)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy what the command needs of the project, for another test may make an archive at the same time."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "mpi_pi", folder / "mpi_pi", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "build").mkdir()
    return folder


def wheelhouse(project: Path, *arguments: str, index: str = "127.0.0.1:9") -> subprocess.Popen[str]:
    """Start the command with an index of packages at an address of this machine, by default one of nobody."""
    return subprocess.Popen(
        [MPI_PI, "wheelhouse", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=archives.WITHOUT_PIP
        | archives.NO_PACKAGES
        | {"PIP_INDEX_URL": f"http://{index}/simple", "PYTHONPATH": str(project)},
        start_new_session=True,
    )


def test_no_network_is_one_line_and_leaves_nothing(project: Path) -> None:
    run = wheelhouse(project, "-o", str(project / "build" / "a.tar"))
    said, errors = run.communicate(timeout=60)
    assert (run.returncode, said) == (1, "")
    assert errors.splitlines() == [
        "mpi-pi: collecting wheels for Python 3.11 on aarch64",
        "mpi-pi: error: pip did not reach the packages",
    ]
    assert list((project / "build").iterdir()) == []


def test_interrupted_command_leaves_nothing(project: Path) -> None:
    """The index takes a request and never answers it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        index = f"127.0.0.1:{server.getsockname()[1]}"
        run = wheelhouse(project, "-o", str(project / "build" / "a.tar"), index=index)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(3) == b"GET"
            os.killpg(run.pid, signal.SIGINT)
            said, errors = run.communicate(timeout=60)
    assert (run.returncode, said) == (130, "")
    assert errors.splitlines()[-1] == "mpi-pi: error: interrupted; run it again"
    assert "Traceback" not in errors
    assert list((project / "build").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--python", "3.10"], "argument --python: '3.10': mpi_pi needs 3.11 or newer"),
        (["--python", "3"], "argument --python: '3': a version such as 3.11 is needed"),
        (["--machine", "armv7l"], "argument --machine: invalid choice: 'armv7l'"),
        (["-o", "/none/a.tar"], "argument -o/--output: '/none/a.tar': No such file or directory"),
        (["-o", "-"], "argument -o/--output: '-': a name is needed"),
    ],
)
def test_arguments_are_checked_before_anything_is_downloaded(
    project: Path, arguments: list[str], problem: str
) -> None:
    run = wheelhouse(project, *arguments)
    said, errors = run.communicate(timeout=60)
    assert (run.returncode, said) == (2, "")
    assert errors.startswith(f"mpi-pi: error: {problem}")
    assert errors.count("\n") == 1


def test_full_disk_is_told_from_missing_packages(tmp_path: Path) -> None:
    """The folder for the wheels is a file system of 100 kB."""
    if lacking := [*lacks.missing(("mount", "unshare")), *lacks.missing_rights()]:
        lacks.lack(*lacking)
    found, full = tmp_path / "found", tmp_path / "full"
    found.mkdir()
    full.mkdir()
    packing.pack("pip", found)
    with ZipFile(found / "large-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("large-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: large\nVersion: 1.0\n")
        wheel.writestr(
            "large-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("large.py", os.urandom(200_000))
        wheel.writestr("large-1.0.dist-info/RECORD", "")
    mounted = f'mount -t tmpfs -o size=100k tmpfs {shlex.quote(str(full))} && exec "$@"'
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.executable, "-c", FULL, str(full)],
        capture_output=True,
        text=True,
        timeout=60,
        env=archives.WITHOUT_PIP
        | archives.NO_PACKAGES
        | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(found), "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert re.fullmatch(r"pip has no space left on the disk, here or in .+\n", run.stdout)
