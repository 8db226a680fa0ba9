"""Fixtures, marks by folder, and a count of the outcomes for run_all.py."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from mpi_pi.cluster.platforms import Platform
from mpi_pi.kernel import loader
from mpi_pi.kernel.loader import Kernel
from support import lacks, launching, mpis
from support.faults import Faults
from support.launching import TESTS, Launch, has_numba
from support.mpis import Found, Mpi, there
from support.outcomes import Ran, leave

# How fast a test runs says nothing here: the first example may compile, and the machine is shared.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

os.environ["PATH"] += ":/usr/sbin:/sbin"  # where not everybody looks for programs

MPI_TESTS = TESTS / "mpi"
NEEDS_MPI = {"reason": "need --with-mpi option to run"}
MIN_RANKS = pytest.StashKey[list[int]]()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests in tests/mpi as MPI tests; those anywhere else must not be."""
    marked = item.get_closest_marker("mpi") is not None
    if MPI_TESTS not in item.path.parents:
        if marked:
            raise pytest.UsageError(f"{item.nodeid}: MPI tests lie in tests/mpi")
    elif not marked:
        item.add_marker(pytest.mark.mpi)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Undo that pytest-mpi skips tests/unit/mpi, as it takes names of folders for marks."""
    for item in items:
        if item.get_closest_marker("mpi") is None:
            item.own_markers = [mark for mark in item.own_markers if mark.kwargs != NEEDS_MPI]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep for `pytest_terminal_summary` how many ranks each MPI test needs."""
    marks = [mark for item in session.items if (mark := item.get_closest_marker("mpi"))]
    session.config.stash[MIN_RANKS] = [mark.kwargs.get("min_size", 1) for mark in marks]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Leave the outcomes, and what was lacking, for run_all.py; each rank leaves a file."""
    folder = os.environ.get("MPI_PI_COUNTS")
    if folder:
        counts = Counter({name: len(reports) for name, reports in terminalreporter.stats.items() if name})
        reasons = [report.longrepr[-1] for report in terminalreporter.stats.get("skipped", ())]
        lacking = [names for reason in reasons if (names := lacks.lacking(reason))]
        min_ranks = terminalreporter.config.stash.get(MIN_RANKS, [])
        leave(Path(folder), Ran(counts, lacking, min_ranks))


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
def kernel() -> Kernel:
    """Return the kernel that jobs count with: the compiled one, if numba is installed."""
    return loader.load()


@pytest.fixture(scope="session")
def compiled() -> Kernel:
    if not has_numba():
        pytest.skip("numba is not installed")
    return loader.load("numba")


@pytest.fixture(scope="session")
def target() -> Platform:
    """All hosts here, by their own Python."""
    program = (
        "import os, platform; print(platform.python_version(), platform.machine(),"
        " os.confstr('CS_GNU_LIBC_VERSION').split()[1])"
    )
    told = subprocess.run(["/usr/bin/python3", "-c", program], capture_output=True, text=True, check=True)
    return Platform(*told.stdout.split())


@pytest.fixture
def environment(kernel: Kernel) -> Iterator[dict[str, str]]:
    """Yield the environment for a launch; the kernel is in the cache by now.

    A rank that waits for another one to compile it says so.
    """
    with launching.environment() as environ:
        yield environ


@pytest.fixture
def launch(environment: dict[str, str]) -> Launch:
    """Return `launch(ranks, *command)`, which runs a command under mpirun, or without it on 0 ranks."""

    def launched(
        ranks: int, *command: str, timeout: float = 60, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return launching.finish(launching.under_mpirun(ranks, *command), environment | env, timeout)

    return launched


@pytest.fixture
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """Writes faulty programs; at the end of the test all of their faults must have come to pass."""
    programs = Faults(tmp_path_factory.mktemp("faults"))
    yield programs
    programs.require_all()


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("mpis")

    def find(name: str) -> Mpi | str:
        try:
            return mpis.find(name, folder)
        except mpis.Lacking as error:
            return str(error)

    return {name: find(name) for name in mpis.NAMES}


@pytest.fixture
def open_mpi(found: Found) -> Mpi:
    """Return one MPI: for tests whose result does not depend on it, and for those of what it alone can do."""
    return there(found, "Open MPI from PyPI")


@pytest.fixture(params=mpis.NAMES)
def mpi(found: Found, request: pytest.FixtureRequest) -> Mpi:
    """Each of the MPIs."""
    return there(found, request.param)
