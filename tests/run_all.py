"""Run the serial tests, then the MPI tests on 1, 2, 3 and 4 ranks, and make sure that they ran.

python tests/run_all.py MPIRUN [--only RANKS]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import outcomes

LIMIT_SECONDS = 900
RANKS = (1, 2, 3, 4)
PYTEST = ("-m", "pytest", "--color=no", "-q")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("mpirun")
    parser.add_argument("--only", type=int, help="the MPI tests alone, on so many ranks")
    args = parser.parse_args()
    os.environ["MPI_PI_MPIRUN"] = args.mpirun if "/" not in args.mpirun else str(Path(args.mpirun).resolve())
    with tempfile.TemporaryDirectory(prefix="mpi-pi-tests-") as folder:
        cache = Path(folder) / "cache"
        cache.mkdir(mode=0o700)
        os.environ["MPI_PI_CACHE"] = str(cache)
        if args.only is None:
            status = subprocess.run(
                [sys.executable, *PYTEST, "-m", "not mpi", "--durations=10"],
                timeout=LIMIT_SECONDS,
                check=False,
            ).returncode
            if status:
                return status
        for ranks in RANKS if args.only is None else (args.only,):
            status = mpi_tests(ranks, Path(folder) / f"counts-{ranks}")
            if status:
                return status
    return 0


def mpi_tests(ranks: int, counts: Path) -> int:
    """The MPI tests on so many ranks; every one of them must have run on every rank."""
    counts.mkdir()
    os.environ["MPI_PI_COUNTS"] = str(counts)
    command = [os.environ["MPI_PI_MPIRUN"], "-n", str(ranks), sys.executable, "-m", "mpi4py"]
    try:
        status = subprocess.run(
            [*command, *PYTEST, "-x", "--with-mpi", "-m", "mpi"], timeout=LIMIT_SECONDS, check=False
        ).returncode
    finally:
        del os.environ["MPI_PI_COUNTS"]
    ran = outcomes(counts)
    tests = {sum(count.values()) for count in ran}
    skipped = sum(count["skipped"] for count in ran)
    passed = sum(count["passed"] for count in ran)
    print(f"on {ranks} ranks: {passed} passed on {len(ran)} ranks, {skipped} skipped", flush=True)
    if status:
        return status
    if len(ran) != ranks or len(tests) != 1 or not passed or (skipped and ranks == max(RANKS)):
        print(f"on {ranks} ranks: the MPI tests did not all run: {ran}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
