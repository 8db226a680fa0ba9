"""Machine code on systems where written memory cannot be executed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mpi_pi.kernel.loader import NOT_EXECUTABLE, Kernel
from support.lacks import lack
from support.launching import MPI_PI, TESTS, Launch

Restricted = Callable[..., subprocess.CompletedProcess[str]]
NO_EXECUTION = str(TESTS / "support" / "no_execution.py")
RUN = ("run", "-n", "20", "-i", "1000", "--seed", "3", "--json", "-")


@pytest.fixture
def restricted(launch: Launch) -> Restricted:
    def restricted(*command: str, memfd: bool = True) -> subprocess.CompletedProcess[str]:
        options = () if memfd else ("--no-memfd",)
        # UCX would write to standard output that it is refused to change functions of the C library.
        quiet = {"UCX_MEM_MMAP_HOOK_MODE": "none", "UCX_LOG_FILE": "/dev/null"}
        run = launch(0, sys.executable, NO_EXECUTION, *options, *command, timeout=120, **quiet)
        if run.returncode == 77:
            lack("prctl(PR_SET_MDWE) of Linux 6.3, or seccomp")
        return run

    return restricted


def test_cached_code_runs_where_written_memory_is_not_executable(
    restricted: Restricted, launch: Launch, compiled: Kernel
) -> None:
    """Code is mapped like a library's, which is allowed; the hits are the same as anywhere else."""
    run = restricted(MPI_PI, *RUN)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["ranks"][0]["kernel"] == "numba"
    assert result["tally"] == json.loads(launch(0, MPI_PI, *RUN).stdout)["tally"]


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_without_executable_memory_numpy_counts_with_a_warning(
    restricted: Restricted, launch: Launch, compiled: Kernel, tmp_path: Path, cache: str
) -> None:
    folder = () if cache == "warm" else ("--cache", str(tmp_path / "cache"))
    run = restricted(MPI_PI, *RUN, *folder, memfd=False)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["ranks"][0]["kernel"] == "numpy"
    assert result["tally"] == json.loads(launch(0, MPI_PI, *RUN).stdout)["tally"]
    (warning,) = [line for line in run.stderr.splitlines() if line.startswith("mpi-pi: ")]
    assert warning.startswith("mpi-pi: warning: ")
    assert NOT_EXECUTABLE in warning
    assert warning.endswith("the NumPy kernel counts, slowly")


def test_compiled_kernel_is_refused_without_executable_memory(
    restricted: Restricted, compiled: Kernel
) -> None:
    run = restricted(MPI_PI, *RUN, "--kernel", "numba", memfd=False)
    assert run.returncode not in (0, 139, -11)
    assert not run.stdout
    (error,) = [line for line in run.stderr.splitlines() if line.startswith("mpi-pi: ")]
    assert "argument --kernel: 'numba': " + NOT_EXECUTABLE in error


def test_check_reports_missing_executable_memory_as_a_fault(restricted: Restricted, compiled: Kernel) -> None:
    run = restricted(MPI_PI, "check", "--json", "-", memfd=False)
    assert run.returncode == 1, run.stderr
    texts = [found["text"] for found in json.loads(run.stdout)["findings"] if found["severity"] == "fault"]
    (text,) = [text for text in texts if NOT_EXECUTABLE in text]
    assert "MemoryDenyWriteExecute=no" in text


def test_linker_of_llvm_is_not_tried_without_executable_memory(
    restricted: Restricted, compiled: Kernel
) -> None:
    """LLVM would crash."""
    program = (
        "from mpi_pi.kernel import machine_code\n"
        "from mpi_pi.system import clock\n"
        "from mpi_pi.bench import baselines\n"
        "assert clock.compiled_chain() is None and not baselines.has_numba()\n"
        "try: machine_code.CompiledKernel(b'of an unknown kind', 'count')\n"
        "except OSError as error: print('refused:', error)"
    )
    run = restricted(sys.executable, "-c", program)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("refused:")
