"""Run the serial tests, then the MPI tests on 1, 2, 3 and 4 ranks, and check that all of them ran.

The last line tells what this machine lacks for tests that were skipped.

python tests/run_all.py MPIRUN [--only RANKS | --packages oldest|debian]
"""

import argparse
import functools
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from support import lacks, tidy
from support.launching import SETTINGS
from support.outcomes import outcomes

LIMIT_SECONDS = 3600  # for machines that are slow or busy
RANKS = (1, 2, 3, 4)
OUTCOMES = ("passed", "failed", "skipped", "error")
PYTEST = ("-m", "pytest", "--color=no", "-q")
OF_PACKAGES = ("tests/command", "tests/unit/mpi", "tests/unit/storage")
"""Tests that other releases of the packages may break: of the command, and of what else they are used for."""
PACKAGES: dict[str, Sequence[int]] = {"oldest": (2,), "debian": ()}
"""Numbers of ranks for the MPI tests with sets of packages: they need numba, which Debian 12 has not."""
OF_MAKE = ("PACKAGES", "PYTHON", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
"""Variables of the make that runs all tests, and not of those that tests start."""
TWO_AT_A_TIME = ("-n", "2", "--dist", "loadfile")  # many of them wait more than they work


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("mpirun")
    parser.add_argument("--only", type=int, help="the MPI tests alone, on so many ranks")
    parser.add_argument("--packages", choices=PACKAGES, help="those alone that these packages may break")
    args = parser.parse_args()
    os.environ["MPI_PI_MPIRUN"] = args.mpirun if "/" not in args.mpirun else str(Path(args.mpirun).resolve())
    return tidy.run(lambda: all_tests(args.only, args.packages))


def all_tests(only: int | None, packages: str | None) -> int:
    """All tests, or the MPI tests alone on so many ranks, or the tests of packages; the exit status."""
    folder = Path(tempfile.gettempdir())
    cache = folder / "cache"
    cache.mkdir(mode=0o700)
    os.environ["MPI_PI_CACHE"] = str(cache)
    for name, value in SETTINGS.items():  # more ranks than cores, and as root
        os.environ.setdefault(name, value)
    for name in OF_MAKE:
        os.environ.pop(name, None)
    status = serial_tests(folder / "counts", OF_PACKAGES if packages else ()) if only is None else 0
    for ranks in (only,) if only else PACKAGES[packages] if packages else RANKS:
        status = status or mpi_tests(ranks, folder / f"counts-{ranks}")
    if only is None:
        print_lacks(folder / "counts")
    return status


def serial_tests(counts: Path, places: Sequence[str]) -> int:
    """The tests without ranks, two at a time, in those places or everywhere."""
    command = [sys.executable, *PYTEST, "-m", "not mpi", *TWO_AT_A_TIME, "--durations=10", *places]
    return pytest(counts, command)


def print_lacks(counts: Path) -> None:
    """Say which of the serial tests were skipped for what this machine lacks."""
    for ran in outcomes(counts):
        summary = lacks.summary(ran.lacking, sum(ran.counts[outcome] for outcome in OUTCOMES))
        print(summary, flush=True, end="\n" if summary else "")


def pytest(counts: Path, command: list[str], stdout: int | None = None) -> int:
    """Run pytest, whose processes leave files of their outcomes in the new folder; return its exit status."""
    counts.mkdir()
    environment = os.environ | {"MPI_PI_COUNTS": str(counts)}
    run = subprocess.run(command, timeout=LIMIT_SECONDS, check=False, env=environment, stdout=stdout)
    return run.returncode


def mpi_tests(ranks: int, counts: Path) -> int:
    """The MPI tests on so many ranks; every one of them must have run on every rank."""
    command = [os.environ["MPI_PI_MPIRUN"], "-n", str(ranks), sys.executable, "-m", "mpi4py"]
    status = pytest(counts, [*command, *PYTEST, "-x", "--with-mpi", "-m", "mpi"])
    ran = outcomes(counts)
    passed = sum(one.counts["passed"] for one in ran)
    expected = sum(need <= ranks for need in min_ranks()) * ranks
    print(f"on {ranks} ranks: {passed} passed of {expected}", flush=True)
    return status or int(passed != expected or len(ran) != ranks)


@functools.cache
def min_ranks() -> list[int]:
    """Return how many ranks each of the tests in tests/mpi needs, as pytest collects them."""
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        command = [sys.executable, *PYTEST, "--collect-only", str(Path(__file__).parent / "mpi")]
        if pytest(counts, command, stdout=subprocess.DEVNULL) != 0:
            raise RuntimeError(f"the MPI tests could not be collected: {shlex.join(command)}")
        (collected,) = outcomes(counts)
    return collected.min_ranks


if __name__ == "__main__":
    sys.exit(main())
