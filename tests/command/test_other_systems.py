"""Systems without features that only Linux has, and environments without the variables of a login."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job
from mpi_pi.storage import result_file
from mpi_pi.system import launch_env, process
from support import runs
from support.launching import MPI_PI, SETTINGS, Launch, usual
from support.mpis import Mpi

RUN = ("run", "-n", "100", "-i", "1000", "--seed", "1")
HITS = int(reference.count(Job(100, 1000, 1), range(100)).sum())

ELSEWHERE = """
import builtins, io, os, sys, time

for module, name in (
    (os, "sched_getaffinity"), (os, "O_TMPFILE"), (os, "memfd_create"), (os, "sched_yield"),
    (time, "CLOCK_BOOTTIME"),
):
    delattr(module, name)

def without_proc(function):
    def called(path, *args, **named):
        if not isinstance(path, int) and os.fsdecode(path).startswith(("/proc", "/sys")):
            raise FileNotFoundError(2, "No such file or directory", path)
        return function(path, *args, **named)
    return called

for name in ("open", "stat", "listdir", "scandir"):
    setattr(os, name, without_proc(getattr(os, name)))
io.open = builtins.open = without_proc(builtins.open)
sys.argv[0] = "mpi-pi"
from mpi_pi.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""Program that runs mpi-pi without these calls and files, as on macOS."""


def test_run_merge_and_report_work_without_features_of_linux(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = (sys.executable, "-c", ELSEWHERE)
    # Alone, for its kernel is another one: of two ranks, one would say that it waits for the other.
    assert launch(0, *program, *RUN).returncode == 0
    run = launch(2, *program, *RUN, "--json", "r.json", "--trial-log", "r.csv", "--threads", "auto")
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(Path("r.json").read_text())["estimate"]["hits"] == HITS
    for index in "12":
        part = ("--shard", f"{index}/2", "--checkpoint", f"{index}.ck", "--json", f"{index}.json")
        run = launch(0, *program, *RUN, *part)
        assert (run.returncode, run.stderr) == (0, "")
    run = launch(0, *program, *RUN, "--shard", "2/2", "--checkpoint", "2.ck")
    assert "Counted before = all points" in run.stdout
    run = launch(0, *program, "merge", "1.json", "2.json", "--json", "-")
    assert json.loads(run.stdout)["estimate"]["hits"] == HITS
    run = launch(0, *program, "report", "r.json", "r.csv", "-o", "r.html")
    assert (run.returncode, run.stderr) == (0, "")
    run = launch(0, *program, "check")
    assert "Known answer = right on 1 of 1 ranks" in run.stdout
    assert run.stderr == ""


def test_memory_is_told_in_bytes_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    """getrusage(2) returns bytes on macOS, and KiB on Linux."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    monkeypatch.setattr(resource, "getrusage", lambda _: usage)
    assert process.usage()[2] == usage.ru_maxrss * 1024
    monkeypatch.setattr(process, "sys", SimpleNamespace(platform="darwin"))
    assert process.usage()[2] == usage.ru_maxrss


def test_run_works_without_home_and_path(mpi: Mpi) -> None:
    """Slurm's HealthCheckProgram has neither HOME nor PATH."""
    kept = {name: os.environ[name] for name in ("MPI_PI_CACHE", "TMPDIR") if name in os.environ}
    for command in ([mpi.mpi_pi, *RUN], [mpi.mpirun, "-n", "2", "env", "-u", "HOME", mpi.mpi_pi, *RUN]):
        login = {} if command[0] == mpi.mpi_pi else {"HOME": "/", "PATH": os.defpath}
        run = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            env=SETTINGS | kept | login,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert (run.returncode, usual(run.stderr)) == (0, "")
        assert f"pi = 4*({HITS}/100000) = " in run.stdout


def test_missing_home_and_path_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("PATH", "/bin")
    assert launch_env.missing_basics() == {"HOME": os.path.expanduser("~")}  # noqa: PTH111
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # of a user whom nobody knows
    assert launch_env.missing_basics() == {"HOME": "/"}
    monkeypatch.setenv("HOME", "/home/me")
    assert launch_env.missing_basics() == {}


SETTINGS_OF_USERS = {
    "backend": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "no backend": {"MPLBACKEND": "nonsense"},
    "other file": {"MATPLOTLIBRC": "other"},
    "folder": {"MPLCONFIGDIR": "/proc/none"},
}


@pytest.mark.parametrize("which", SETTINGS_OF_USERS)
def test_pictures_depend_on_no_settings_of_users(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.json").write_text(result_file.as_json(runs.run(2)))
    plain = launch(0, MPI_PI, "plot", "r.json", "-o", "plain.png")
    assert (plain.returncode, plain.stderr) == (0, "")
    # Broken in its bytes, its names and its values; and with a style that would show.
    for place in (Path("matplotlibrc"), Path("other")):
        place.write_bytes(
            b"# caf\xe9\nnonsense\nfont.size: huge\nlines.linewidth: 9\nfigure.facecolor: red\n"
        )
    for command, name in (("plot", "odd.png"), *([("report", "odd.html")] if which == "backend" else [])):
        run = launch(0, MPI_PI, command, "r.json", "-o", name, **SETTINGS_OF_USERS[which])
        assert (run.returncode, run.stderr) == (0, "")
    assert Path("odd.png").read_bytes() == Path("plain.png").read_bytes()
