"""Every documented exit status, by every MPI's mpirun."""

import concurrent.futures
import os
import subprocess
import tempfile

import pytest

from support.launching import ROOT, SETTINGS, soak
from support.mpis import NAMES, Found, Mpi, there

ENDLESS = ("run", "-n", "1e15", "-i", "10k")
SMALL = ("run", "-n", "100", "-i", "1000", "--seed", "1")

COMMAND = "import sys; from mpi_pi.cli import main as cli; cli.command()"
UNVERIFIED = (
    f"from mpi_pi.model.result import Result; Result.verified = property(lambda self: False); {COMMAND}"
)
SIGNALLED = f"""
import os, signal, threading
from mpi_pi.system import launch_env
from mpi_pi.cli import run as session
count = session.Session._count
def signalled(*args):
    threading.Timer(0.2, os.kill, (os.getpid(), signal.{{signal}})).start()
    return count(*args)
session.Session._count = signalled
{COMMAND}
"""

CASES: dict[str, tuple[int, str, tuple[str, ...]]] = {
    "verified": (0, COMMAND, SMALL),
    "help": (0, COMMAND, ("run", "--help")),
    "no kernel": (
        1,
        f"import os; os.environ['NUMBA_DISABLE_JIT'] = '1'; {COMMAND}",
        (*SMALL, "--kernel", "numba"),
    ),
    "usage": (2, COMMAND, ("run", "-n", "0")),
    "refused": (2, COMMAND, (*SMALL, "--json", "no/such/folder/j")),
    "nothing to merge": (2, COMMAND, ("merge", "no/such/file")),
    "nothing to compare": (2, COMMAND, ("bench", "compare", "no/such/file", "nor/such")),
    "not verified": (3, UNVERIFIED, SMALL),
    "stopped with a checkpoint": (
        75,
        COMMAND,
        (*ENDLESS, "--time-limit", "0.5s", "--checkpoint", "{folder}/c"),
    ),
    "stopped": (124, COMMAND, (*ENDLESS, "--time-limit", "0.5s")),
    "interrupted": (130, SIGNALLED.format(signal="SIGINT"), ENDLESS),
    "terminated": (143, SIGNALLED.format(signal="SIGTERM"), ENDLESS),
    "told to stop": (138, SIGNALLED.format(signal="SIGUSR1"), ENDLESS),
}


def status(mpi: Mpi, ranks: int, program: str, arguments: tuple[str, ...]) -> tuple[int, str]:
    with tempfile.TemporaryDirectory(prefix="mpi-pi-", ignore_cleanup_errors=True) as folder:
        arguments = tuple(argument.format(folder=folder) for argument in arguments)
        run = subprocess.run(
            [mpi.mpirun, "-n", str(ranks), mpi.python, "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | SETTINGS | {"TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # as in conftest.launch
            cwd=ROOT,
            check=False,
        )
    return run.returncode, run.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_documented_status(found: Found, name: str) -> None:
    """On four ranks, of which any may be the last to end."""
    mpi = there(found, name)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        running = {
            case: pool.submit(status, mpi, 4, program, arguments)
            for case, (_, program, arguments) in CASES.items()
        }
    got = {case: future.result() for case, future in running.items()}
    assert {case: one for case, one in got.items() if one[0] != CASES[case][0]} == {}


@soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", NAMES)
def test_every_documented_status_twenty_times(found: Found, name: str) -> None:
    mpi = there(found, name)
    runs = right = 0
    for case, (expected, program, arguments) in CASES.items():
        for ranks in (1, 2, 4):
            got = [status(mpi, ranks, program, arguments)[0] for _ in range(20)]
            runs += len(got)
            right += got.count(expected)
            if set(got) != {expected}:
                print(f"{name}, {case}, {ranks} ranks: {got}")
    print(f"{name}: {right} of {runs} right")
    assert right == runs
