"""Installation of an environment on a host, from wheels that the client sends."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from mpi_pi.cluster.agent.commands import AgentError, run
from mpi_pi.cluster.agent.environment import RECORD, is_foreign, occupied

WHEELS = ".mpi-pi-wheels"
"""Folder in an environment for wheels until they are installed."""

INSTALL_SECONDS = 900
VERIFY_SECONDS = 300
"""Includes the compilation of the kernel, which takes long on a Raspberry Pi."""

_markers: list[Path] = []


def create_marker(path: str, marker: str, destination: str) -> None:
    """Make the parent folder of the environment, and a file in it that hosts sharing the folder will find.

    `destination` is the argument by which ssh reaches this host.
    """
    parent = Path(path).parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _markers.append(parent / marker)
        _markers[-1].touch()
    except PermissionError as error:
        user = getpass.getuser()
        make = shlex.quote(f"sudo install -d -o {shlex.quote(user)} {shlex.quote(str(parent))}")
        raise AgentError(f"{user} may not write to {parent}: ssh -t {destination} {make}") from error
    except OSError as error:
        raise AgentError(f"{parent} cannot be written to: {error.strerror}") from error


def find_markers(path: str, markers: list[str]) -> list[bool]:
    """Return for each marker whether it is on this host."""
    # Not from a list of the folder, which a network file system may have kept from before.
    return [(Path(path).parent / marker).exists() for marker in markers]


def remove_markers() -> None:
    """Remove the markers created on this host."""
    while _markers:
        with contextlib.suppress(OSError):
            _markers.pop().unlink()


def install(path: str, what: str, digest: str, fresh: bool, files: list[tuple[str, int]]) -> None:
    """Install `what` from wheels that follow on standard input, given by name and size; record the digest.

    With `fresh` the environment is made anew, and removed if the installation fails. Otherwise only that
    package is replaced in the existing environment.
    """
    place = Path(path)
    wheels = place / WHEELS
    if is_foreign(place):
        raise AgentError(occupied(path))
    place.mkdir(exist_ok=True)
    with (place / RECORD).open("a+") as record:
        _lock(record, path)
        try:
            if fresh:
                _empty(place, but=RECORD)
                _write(record, "")
            wheels.mkdir(exist_ok=True)
            for name, size in files:
                _receive(wheels / Path(name).name, size)
            if fresh:
                venv = [sys.executable, "-m", "venv", "--without-pip", path]
                run(venv, "the environment cannot be made", INSTALL_SECONDS)
            _pip(place, what, fresh)
            _write(record, digest)
        except BaseException:
            if fresh:
                _empty(place)
                with contextlib.suppress(OSError):
                    place.rmdir()
            raise
        finally:
            shutil.rmtree(str(wheels), ignore_errors=True)


def verify(path: str) -> str:
    """Run the installed program, which compiles its kernel into the cache, and return its version."""
    program = str(Path(path) / "bin" / "mpi-pi")
    try:
        with tempfile.TemporaryDirectory(prefix="mpi-pi-") as folder:  # in which MPI may leave files
            environ = {**os.environ, "TMPDIR": folder}
            version = run([program, "--version"], "it does not start", VERIFY_SECONDS, environ)
            run([program, "run", "-n", "1", "-i", "1"], "it does not run", VERIFY_SECONDS, environ)
    except AgentError:
        with contextlib.suppress(OSError):  # lets the next deployment make the environment anew
            if (Path(path) / RECORD).exists():
                (Path(path) / RECORD).write_text("")
        raise
    return version.split()[-1]


def _lock(record: Any, path: str) -> None:
    try:
        fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AgentError(f"another deployment is at work on {path}: wait until it is done") from None
    except OSError:  # a file system without locks
        pass


def _write(record: Any, digest: str) -> None:
    record.truncate(0)
    record.write(digest + "\n")
    record.flush()
    os.fsync(record.fileno())


def _empty(place: Path, but: str = "") -> None:
    for entry in list(place.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry), ignore_errors=True)
        elif entry.name != but:
            entry.unlink()


def _receive(file: Path, size: int) -> None:
    with file.open("wb") as output:
        while size > 0:
            part = sys.stdin.buffer.read(min(size, 1 << 20))
            if not part:
                raise AgentError("the client is gone")
            output.write(part)
            size -= len(part)


def _pip(place: Path, what: str, fresh: bool) -> None:
    """Run pip from its own wheel, since the host may have none."""
    wheels = place / WHEELS
    pip = next(wheels.glob("pip-*.whl")) / "pip"
    # Modules are compiled when they are first used, which spares a slow disk the others.
    options = ["--no-index", "--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    options += ["--no-warn-script-location", "--root-user-action=ignore", f"--find-links={wheels}"]
    if not fresh:
        options += ["--no-deps", "--force-reinstall"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environ["PIP_CONFIG_FILE"] = os.devnull
    command = [str(place / "bin" / "python"), "-I", str(pip), "install", *options, what]
    run(command, "the packages cannot be installed", INSTALL_SECONDS, environ)
