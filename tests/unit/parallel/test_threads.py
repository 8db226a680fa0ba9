"""Threads that count a share: hits of the reference, in order, and a first part of them after a stop."""

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
def test_hits_are_those_of_the_definition(
    compiled: Kernel, expected: NDArray[np.int64], threads: int
) -> None:
    who = set()

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        who.add(threading.current_thread())
        return compiled.count(job, units, stop)

    call_on_all = ThreadTeam(Kernel("made up", count), threads, lambda: False)
    for _ in range(3):
        tally, hits = call_on_all.count(JOB, UNITS, keep_hits=True)
        assert (hits == expected).all()
        assert tally == Tally.of(JOB, UNITS, expected)
    tally, hits = call_on_all.count(JOB, UNITS, keep_hits=False)
    assert tally == Tally.of(JOB, UNITS, expected)
    assert hits.size == 0
    assert call_on_all.count(JOB, range(5, 5), keep_hits=True)[0] == Tally()
    call_on_all.close()
    assert 1 <= len(who) <= threads
    assert not any(thread.name.startswith("count") for thread in threading.enumerate())


@pytest.mark.usefixtures("many_chunks")
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("looks", [0, 1, 7, 30])
def test_what_is_stopped_has_counted_the_first_units(
    compiled: Kernel, expected: NDArray[np.int64], threads: int, looks: int
) -> None:
    left = looks

    def stop() -> bool:
        nonlocal left
        assert threading.current_thread() is threading.main_thread()
        left -= 1
        return left < 0

    call_on_all = ThreadTeam(compiled, threads, stop)
    tally, hits = call_on_all.count(JOB, UNITS, keep_hits=True)
    assert tally.units == len(hits)
    assert (hits == expected[: len(hits)]).all()
    assert tally == Tally.of(JOB, UNITS[: len(hits)], hits)
    if looks == 0 and threads == 1:
        assert not len(hits)
    call_on_all.close()


def test_all_threads_work_at_the_same_time(compiled: Kernel) -> None:
    """Each of three waits for the two others in its first chunk: one after the other they could not."""
    meeting, been = threading.Barrier(3, timeout=60), threading.local()

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        if not hasattr(been, "here"):
            been.here = True
            meeting.wait()
        return compiled.count(job, units, stop)

    call_on_all = ThreadTeam(Kernel("made up", count), 3, lambda: False)
    job = Job(3000, 10_001, 1)
    tally, _ = call_on_all.count(job, range(3000), keep_hits=False)
    assert tally.hits == compiled.count(job, range(3000)).sum()
    call_on_all.close()


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

    call_on_all = ThreadTeam(Kernel("made up", count), 2, lambda: False)
    with pytest.raises(ZeroDivisionError):
        call_on_all.count(Job(10**6, 10**6, 1), range(10**6), keep_hits=False)
    call_on_all.close()
