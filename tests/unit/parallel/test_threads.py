"""Threads of a rank: they count the hits of the reference in order, and the first of them after a stop."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_pi.kernel import reference
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.model.tally import Tally
from mpi_pi.parallel import threads as parallel_threads
from mpi_pi.parallel.threads import ThreadTeam

JOB = Job(trials=700, points=10_001, seed=5)
UNITS = range(13, 690)


@pytest.fixture(scope="module")
def expected() -> NDArray[np.int64]:
    return reference.count(JOB, UNITS)


@pytest.fixture
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_threads, "CHUNK_SECONDS", 1e-5)


@pytest.mark.usefixtures("many_chunks")
@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_hits_are_those_of_the_reference(compiled: Kernel, expected: NDArray[np.int64], threads: int) -> None:
    counting_threads = set()

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        counting_threads.add(threading.current_thread())
        return compiled.count(job, units, stop)

    team = ThreadTeam(Kernel("made up", count), threads, lambda: False)
    for _ in range(3):
        tally, hits = team.count(JOB, UNITS, [UNITS])
        assert (hits == expected).all()
        assert tally == Tally.of(JOB, UNITS, expected)
    tally, hits = team.count(JOB, UNITS)
    assert tally == Tally.of(JOB, UNITS, expected)
    assert hits.size == 0
    assert team.count(JOB, range(5, 5), [range(5, 5)])[0] == Tally()
    team.close()
    assert 1 <= len(counting_threads) <= threads
    assert not any(thread.name.startswith("count") for thread in threading.enumerate())


@pytest.mark.usefixtures("many_chunks")
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("polls", [0, 1, 7, 30])
def test_stopped_team_has_counted_the_first_units(
    compiled: Kernel, expected: NDArray[np.int64], threads: int, polls: int
) -> None:
    remaining = polls

    def stop() -> bool:
        nonlocal remaining
        assert threading.current_thread() is threading.main_thread()
        remaining -= 1
        return remaining < 0

    team = ThreadTeam(compiled, threads, stop)
    tally, hits = team.count(JOB, UNITS, [UNITS])
    assert tally.units == len(hits)
    assert (hits == expected[: len(hits)]).all()
    assert tally == Tally.of(JOB, UNITS[: len(hits)], hits)
    if polls == 0 and threads == 1:
        assert not len(hits)
    team.close()


def test_all_threads_work_at_the_same_time(compiled: Kernel) -> None:
    """Each of three waits for the two others in its first chunk, which threads in turn could not."""
    barrier, own = threading.Barrier(3, timeout=60), threading.local()

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        if not hasattr(own, "here"):
            own.here = True
            barrier.wait()
        return compiled.count(job, units, stop)

    team = ThreadTeam(Kernel("made up", count), 3, lambda: False)
    job = Job(3000, 10_001, 1)
    tally, _ = team.count(job, range(3000))
    assert tally.hits == compiled.count(job, range(3000)).sum()
    team.close()


@pytest.mark.parametrize("in_main", [True, False])
def test_error_in_any_thread_is_raised(compiled: Kernel, in_main: bool) -> None:
    main_is_there = threading.Event()

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main is in_main:
            raise ZeroDivisionError
        while not stop():
            main_is_there.wait(0.01)
        return np.zeros(0, np.int64)

    team = ThreadTeam(Kernel("made up", count), 2, lambda: False)
    with pytest.raises(ZeroDivisionError):
        team.count(Job(10**6, 10**6, 1), range(10**6))
    team.close()
