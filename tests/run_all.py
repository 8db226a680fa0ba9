"""Run the serial tests, then the MPI tests on 1, 2, 3 and 4 ranks, and make sure that they ran.

python tests/run_all.py MPIRUN [--only RANKS]
"""

import argparse
import functools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import SETTINGS, outcomes

LIMIT_SECONDS = 3600 if os.environ.get("MPI_PI_SOAK") else 900
RANKS = (1, 2, 3, 4)
PYTEST = ("-m", "pytest", "--color=no", "-q")
TWO_AT_A_TIME = ("-n", "2", "--dist", "loadfile")  # many of them wait more than they work


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("mpirun")
    parser.add_argument("--only", type=int, help="the MPI tests alone, on so many ranks")
    args = parser.parse_args()
    os.environ["MPI_PI_MPIRUN"] = args.mpirun if "/" not in args.mpirun else str(Path(args.mpirun).resolve())
    with tempfile.TemporaryDirectory(prefix="mpi-pi-tests-") as folder:
        Path(folder).chmod(0o755)  # munge wants its socket in reach of all
        cache = Path(folder) / "cache"
        cache.mkdir(mode=0o700)
        os.environ["MPI_PI_CACHE"] = str(cache)
        for name, value in SETTINGS.items():  # more ranks than cores, and as root
            os.environ.setdefault(name, value)
        # What a killed mpirun leaves behind keeps others of the same process number from starting.
        os.environ["TMPDIR"] = folder
        if args.only is None:
            status = subprocess.run(
                [sys.executable, *PYTEST, "-m", "not mpi", *TWO_AT_A_TIME, "--durations=10"],
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
    passed = sum(count["passed"] for count in ran)
    expected = sum(least <= ranks for least in least_ranks()) * ranks
    print(f"on {ranks} ranks: {passed} passed of {expected}", flush=True)
    return status or int(passed != expected or len(ran) != ranks)


@functools.cache
def least_ranks() -> list[int]:
    """How many ranks each of the MPI tests needs, going by the marks in their text."""
    collected = subprocess.run(
        [sys.executable, *PYTEST, "--collect-only", "-m", "mpi"],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
    ).stdout
    tests = [line.partition("::")[2].partition("[")[0] for line in collected.splitlines() if "::" in line]
    sources = [file.read_text() for file in Path(__file__).parent.glob("test_*.py")]
    source = "\n".join(text for text in sources if "\npytestmark = pytest.mark.mpi\n" in text)
    needs = {name: int(least) for least, name in re.findall(r"mpi\(min_size=(\d+)\)\ndef (\w+)", source)}
    assert all(f"def {name}(" in source for name in tests), "MPI tests stand in files of their own"
    assert len(set(tests)) == len(re.findall(r"^def test_", source, re.MULTILINE)), "every test there is one"
    return [needs.get(name, 1) for name in tests]


if __name__ == "__main__":
    sys.exit(main())
