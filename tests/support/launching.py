"""Launches of commands: their paths, the environment for MPI, and runs with a time-out."""

import contextlib
import functools
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
BIN = Path(sys.executable).parent
MPIRUN = os.environ.get("MPI_PI_MPIRUN") or str(BIN / "mpirun" if (BIN / "mpirun").exists() else "mpirun")
MPI_PI = str(BIN / "mpi-pi")
soak = pytest.mark.skipif(not os.environ.get("MPI_PI_SOAK"), reason="long; make soak runs it")

WITHOUT_NUMBA = re.compile(
    r"^mpi-pi: warning: (rank 0( and \d+ more)?: )?numba is not installed: the NumPy kernel counts, slowly\n",
    re.MULTILINE,
)
"""What a job says that has no numba."""

HANGS = -1000
"""Status for a job that does not end, and has to be ended."""

Launch = Callable[..., subprocess.CompletedProcess[str]]

SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


def plain() -> dict[str, str]:
    """Return a user's environment without binding, since all hosts have the same cores."""
    as_tested = os.environ | SETTINGS
    return {name: value for name, value in as_tested.items() if "rmaps" not in name} | {
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
    }


def under_mpirun(ranks: int, *words: str, mpirun: str = MPIRUN) -> list[str]:
    """Return a command on so many ranks of an mpirun; on no rank, the command itself."""
    return [mpirun, "-n", str(ranks), *words] if ranks else list(words)


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[dict[str, str]]:
    """Yield the user's environment, with what Open MPI needs for more ranks than cores, as root too.

    It has a folder of its own for temporary files: mpirun cannot start where another one of the same process
    number, killed in an earlier test, has left its session.
    """
    with tempfile.TemporaryDirectory(prefix="mpi-pi-", ignore_cleanup_errors=True) as folder:
        yield os.environ | SETTINGS | {"TMPDIR": folder} | variables


def finish(
    words: Sequence[str], environ: Mapping[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with no standard input. Raises subprocess.TimeoutExpired, with its output.

    It has a session of its own, which is killed if it takes too long: Open MPI's mpirun kills the group of a
    rank that is to end, and one that has just been forked is still in mpirun's own group, which otherwise
    would be that of all tests.
    """
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
        start_new_session=True,
    ) as run:
        try:
            output, errors = run.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(words, timeout, *run.communicate()) from None
    return subprocess.CompletedProcess(words, run.returncode, output, usual(errors))


@functools.cache
def has_numba() -> bool:
    """Return whether numba is installed; `make test PACKAGES=debian` does without."""
    return importlib.util.find_spec("numba") is not None


ENDLESS = ("run", "-n", "1e15", "-i", "1e9" if has_numba() else "100k")
"""Arguments of a run whose trials are longer than a block, for which the NumPy kernel would take too long."""


def usual(errors: str) -> str:
    """Return the standard error of a job as it is with numba."""
    return errors if has_numba() else WITHOUT_NUMBA.sub("", errors)


def is_hydra() -> bool:
    """Return whether mpirun is MPICH's."""
    said = subprocess.run([MPIRUN, "--version"], capture_output=True, text=True, check=True).stdout
    return "HYDRA" in said


def imported_by_run(launch: Launch) -> set[str]:
    """Return the modules that a short `mpi-pi run` has imported at its end."""
    program = (
        "import sys; from mpi_pi.cli.main import main;"
        "main(['run', '-n', '1', '-i', '1', '--kernel', 'numpy']);"
        "print(*sys.modules)"
    )
    modules = set(launch(0, sys.executable, "-c", program).stdout.splitlines()[-1].split())
    assert "mpi_pi.parallel.run" in modules
    return modules
