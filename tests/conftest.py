"""What the tests share: real launches under a timeout, and a count of what ran."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import lacks
import mpis
import pytest
from mpis import Mpi

from mpi_pi.kernel import loader
from mpi_pi.kernel.loader import Kernel

BIN = Path(sys.executable).parent
MPIRUN = os.environ.get("MPI_PI_MPIRUN") or str(BIN / "mpirun" if (BIN / "mpirun").exists() else "mpirun")
MPI_PI = str(BIN / "mpi-pi")
soak = pytest.mark.skipif(not os.environ.get("MPI_PI_SOAK"), reason="long; make soak runs it")

# How fast a test runs says nothing here: the first example may compile, and the machine is shared.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

Launch = Callable[..., subprocess.CompletedProcess[str]]
Found = dict[str, Mpi | str]
"""The MPIs by name, or what is lacking."""

os.environ["PATH"] += ":/usr/sbin:/sbin"  # where not everybody looks for programs
SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


def lack(*what: str) -> NoReturn:
    """End a test for which something is not there. In CI all is: a skipped test would be a silent gap.

    Programs and files are named as in packages.txt.
    """
    reason = lacks.reason(what)
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Leave a count of the outcomes, and what was lacking, for run_all.py, one file for each rank."""
    folder = os.environ.get("MPI_PI_COUNTS")
    if folder:
        counts = {name: len(reports) for name, reports in terminalreporter.stats.items() if name}
        reasons = [report.longrepr[-1] for report in terminalreporter.stats.get("skipped", ())]
        lacking = [names for reason in reasons if (names := lacks.lacking(reason))]
        left = json.dumps({"counts": counts, "lacking": lacking})
        (Path(folder) / f"{os.getpid()}.json").write_text(left)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile once for all tests that run one after another, and leave the user's cache alone.

    Where two run at a time, one would be told that it waits for the other to compile.
    """
    if "MPI_PI_CACHE" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
        folder = tmp_path_factory.mktemp("cache")
        folder.chmod(0o700)
        os.environ["MPI_PI_CACHE"] = str(folder)


@pytest.fixture(scope="session")
def compiled() -> Kernel:
    return loader.load("numba")


@pytest.fixture
def environment(compiled: Kernel) -> Iterator[dict[str, str]]:
    """The user's environment, with what Open MPI needs to start more ranks than cores, as root too.

    The kernel is in the cache by now: a rank that waits for another one to compile it says so.

    There is a folder of its own for temporary files: mpirun cannot start where another one of the same
    process number, killed in an earlier test, has left its session.
    """
    with tempfile.TemporaryDirectory(prefix="mpi-pi-", ignore_cleanup_errors=True) as folder:
        yield os.environ | SETTINGS | {"TMPDIR": folder}


@pytest.fixture
def launch(environment: dict[str, str]) -> Launch:
    """`launch(ranks, *command)` runs a command under mpirun, `launch(0, …)` without it."""

    def launched(
        ranks: int, *command: str, timeout: float = 60, **env: str
    ) -> subprocess.CompletedProcess[str]:
        prefix = [MPIRUN, "-n", str(ranks)] if ranks else []
        return subprocess.run(
            [*prefix, *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment | env,
            stdin=subprocess.DEVNULL,
            # Open MPI's mpirun kills the group of a rank that is to end; one that has just been forked is
            # still in mpirun's own, and without this in that of all tests.
            start_new_session=True,
            check=False,
        )

    return launched


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("mpis")

    def find(name: str) -> Mpi | str:
        try:
            return mpis.find(name, folder)
        except mpis.Lacking as error:
            return str(error)

    return {name: find(name) for name in mpis.NAMES}


@pytest.fixture(params=mpis.NAMES)
def mpi(found: Found, request: pytest.FixtureRequest) -> Mpi:
    """Each of the MPIs."""
    return there(found, request.param)


def there(found: Found, name: str) -> Mpi:
    one = found[name]
    if isinstance(one, str):
        lack(one)
    assert isinstance(one, Mpi)
    return one


@dataclass(frozen=True)
class Ran:
    """What has come of a run of pytest on one rank."""

    counts: Counter[str]
    """By outcome."""
    lacking: list[list[str]]
    """Of each test that was skipped for it."""


def outcomes(folder: Path) -> list[Ran]:
    """What the ranks of a pytest run have left behind."""
    documents = [json.loads(file.read_text()) for file in sorted(folder.iterdir())]
    return [Ran(Counter(document["counts"]), document["lacking"]) for document in documents]
