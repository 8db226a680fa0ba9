"""pip of this environment, which downloads wheels and builds them."""

import importlib.util
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from mpi_pi.cluster.platforms import Platform
from mpi_pi.errors import RunError
from mpi_pi.system import command
from mpi_pi.system.versions import minor

LIMIT_SECONDS = 900

# A requirement may depend on the machine or the Python. pip evaluates that by these functions, even where it
# downloads for another machine.
PRETEND = """
import platform, runpy, sys
machine, python = sys.argv[1:3]
del sys.argv[1:3]
platform.machine = lambda: machine
platform.python_version = lambda: python
platform.python_version_tuple = lambda: tuple(python.split("."))
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""

NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError"
    r"|Temporary failure in name|Network is unreachable"
)
"""Errors of pip without a network."""

DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded")


class WheelsUnavailable(RunError):
    """Wheels cannot be collected or built, or there is nothing to deploy."""


class IndexUnreachable(WheelsUnavailable):
    """pip reached neither an index nor a folder of wheels."""


class DiskFull(WheelsUnavailable):
    """There is no space for wheels."""


def download(
    requirements: Iterable[str],
    pinned: Iterable[str],
    target: Platform,
    folder: Path,
    options: Sequence[str] = (),
) -> None:
    """Download wheels of all requirements and of pip into a folder, in their `pinned` versions.

    `options` tell pip where the wheels are, if not where it is configured to look. Raises WheelsUnavailable.
    """
    with tempfile.TemporaryDirectory() as place:
        constraints = Path(place) / "constraints.txt"
        constraints.write_text("".join(f"{pin}\n" for pin in pinned))
        options = [*options, f"--dest={folder}", f"--constraint={constraints}", "--only-binary=:all:"]
        options += ["--implementation=cp", f"--python-version={minor(target.python)}"]
        options += [f"--platform={platform}" for platform in target.platforms()]
        pretending = ["-c", PRETEND, target.machine, target.python]
        try:
            run(*pretending, "download", *options, *requirements, "pip")
        except (IndexUnreachable, DiskFull):
            raise
        except WheelsUnavailable as error:
            none = f"there are no wheels for {target}, or no way to the packages"
            raise WheelsUnavailable(f"{none}: {error}") from error


def run(*arguments: str) -> None:
    """Run Python with arguments that start pip. Raises WheelsUnavailable."""
    if importlib.util.find_spec("pip") is None:
        raise WheelsUnavailable(f"the environment {sys.prefix} has no pip: make one with make run")
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries=2"]
    try:
        done = command.run([sys.executable, *arguments, *options], LIMIT_SECONDS, check=False)
    except command.CommandError as error:
        raise WheelsUnavailable(f"pip was not done after {LIMIT_SECONDS} s") from error
    if done.returncode:
        if NO_NETWORK.search(done.stderr):
            raise IndexUnreachable("pip did not reach the packages")
        if DISK_FULL.search(done.stderr):
            raise DiskFull(f"pip has no space left on the disk, here or in {tempfile.gettempdir()}")
        # pip names the requirement in the first line of its error, and sums up in the last one.
        errors = (line for line in done.stderr.splitlines() if line.startswith("ERROR:"))
        raise WheelsUnavailable(next(errors, f"pip ended with status {done.returncode}"))
