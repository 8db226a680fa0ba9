"""Audited runs on all ranks of one program. They need mpirun, see run_all.py."""

import functools
import signal
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI
from numpy.typing import NDArray

from mpi_pi import Hooks, Job, Round, run
from mpi_pi.kernel import reference
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.audit import Audit
from mpi_pi.model.shard import Shard
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.parallel.load_balancer import Tuning

COMM = MPI.COMM_WORLD
JOB = Job(trials=600, points=2001, seed=2**90)
HITS = reference.count(JOB, range(JOB.units))
TOTAL_HITS = int(HITS.sum())

SHORT_ROUNDS = Tuning(first_points=20_000, round_nanoseconds=50_000, wait_factor=0, min_nanoseconds=1)
"""Rounds so short that a small job has many of them, shared unevenly as the ranks happen to be fast."""


@functools.cache
def known_answer(job: Job, units: range) -> NDArray[np.int64]:
    return reference.count(job, units)


def answers(wrong: Collection[int] = (), is_wrong: Callable[[int], bool] = lambda unit: True) -> Kernel:
    """Return a kernel that looks up hits, and on some ranks adds one to those of some units."""

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        if job != JOB:
            return known_answer(job, units)
        extra = [COMM.rank in wrong and is_wrong(unit) for unit in units]
        return HITS[units.start : units.stop] + np.array(extra, np.int64)

    return Kernel("numpy", count)


@pytest.mark.parametrize(("share", "threads"), [(0.01, 1), (0.3, 2), (1.0, 1)])
def test_audited_run_has_the_same_hits(share: float, threads: int) -> None:
    result = run(JOB, COMM, kernel=answers(), threads=threads, tuning=replace(SHORT_ROUNDS, audit=share))
    assert (result.tally.hits, result.tally.units) == (TOTAL_HITS, JOB.units)
    assert result.audit == Audit(share)
    recounted = result.usage.recounted_units
    if COMM.size == 1:
        assert recounted == 0
    elif share == 1:
        assert recounted == JOB.units
        assert result.shard.proven == result.tally
    else:
        assert result.shard.proven.units < JOB.units


@pytest.mark.mpi(min_size=3)
@pytest.mark.parametrize(("share", "wrong"), [(0.3, 0), (1.0, 1), (0.3, 2)])
def test_wrong_rank_is_excluded_and_its_units_are_counted_again(share: float, wrong: int) -> None:
    told: list[tuple[Shard, Audit]] = []
    hooks = Hooks(on_exclusion=lambda shard, audit: told.append((shard, audit)))
    kernel = answers([wrong], lambda unit: unit % 3 == 1)
    result = run(JOB, COMM, kernel=kernel, hooks=hooks, tuning=replace(SHORT_ROUNDS, audit=share))
    assert (result.tally.hits, result.shard.tally.hits, result.partial) == (TOTAL_HITS, TOTAL_HITS, False)
    assert result.audit is not None
    (found,) = result.audit.wrong
    assert found.rank == wrong
    assert found.unit is not None
    assert found.unit % 3 == 1
    assert (found.right, found.counted) == (HITS[found.unit], HITS[found.unit] + 1)
    assert 1 <= found.wrong_units <= found.compared_units
    if COMM.rank == 0:
        ((shard, _),) = told
        # What is left when the wrong rank is named is right: a checkpoint saved then may be resumed.
        lacking = {unit for units in shard.remaining for unit in units}
        assert shard.tally.hits == sum(HITS[unit] for unit in range(JOB.units) if unit not in lacking)
        assert sum(row.points for row in result.ranks) == result.tally.points
        assert sum(record.hits for record in result.timeline.records) == result.tally.hits
    else:
        assert not told


@pytest.mark.mpi(min_size=2)
def test_two_ranks_that_differ_end_the_run_if_there_is_no_third_one() -> None:
    result = run(JOB, COMM, kernel=answers([1]), tuning=replace(SHORT_ROUNDS, audit=1.0))
    if COMM.size > 2:
        assert result.tally.hits == TOTAL_HITS
        return
    assert result.audit is not None
    assert not result.audit.wrong
    (unsettled, *_) = result.audit.unsettled
    hits = {opinion.rank: opinion.hits for opinion in unsettled.opinions}
    assert hits == {0: HITS[unsettled.unit], 1: HITS[unsettled.unit] + 1}
    assert (result.partial, result.verified, result.tally.units) == (True, False, 0)


@pytest.mark.mpi(min_size=4)
def test_two_wrong_ranks_are_excluded() -> None:
    kernel = answers([0, 2], lambda unit: unit % (7 + COMM.rank) == 1)
    result = run(JOB, COMM, kernel=kernel, tuning=replace(SHORT_ROUNDS, audit=1.0))
    assert result.tally.hits == TOTAL_HITS
    assert result.audit is not None
    assert sorted(found.rank for found in result.audit.wrong) == [0, 2]


@pytest.mark.mpi(min_size=3)
def test_units_of_an_earlier_run_are_counted_again_after_an_exclusion() -> None:
    """Nobody knows any more which rank has counted the units of the earlier run, which was not audited."""
    kernel, stop = answers([1], lambda unit: unit % 5 == 1), StopRequest()

    def stop_after_three(round_: Round) -> None:
        if round_.number == 2:
            stop.request(signal.SIGUSR1)

    hooks = Hooks(on_round=stop_after_three, stop=stop)
    early = run(JOB, COMM, kernel=kernel, hooks=hooks, tuning=SHORT_ROUNDS).shard
    assert 0 < early.tally.units < JOB.units
    assert early.tally.hits > HITS[: early.tally.units].sum()
    result = run(early, COMM, kernel=kernel, tuning=replace(SHORT_ROUNDS, audit=0.5))
    assert result.audit is not None
    assert [found.rank for found in result.audit.wrong] == [1]
    assert (result.tally.hits, result.partial) == (TOTAL_HITS, False)
