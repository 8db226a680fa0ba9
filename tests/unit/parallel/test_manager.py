"""The manager of rank 0 in simulated runs without MPI, against the reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_pi.kernel import reference
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Tally
from mpi_pi.parallel import messages
from mpi_pi.parallel.load_balancer import Tuning
from mpi_pi.parallel.manager import Manager
from mpi_pi.parallel.messages import WORK_RESULT_COLUMNS, Assignment, WorkResult
from support.runs import flame

JOB = Job(trials=300, points=50, seed=9)
HITS = reference.count(JOB, range(JOB.units))


def first_units(number: int) -> Tally:
    return Tally.of(JOB, range(number), HITS[:number])


def results_of(shares: list[range], nanoseconds: list[int]) -> NDArray[np.int64]:
    """Return the work results of ranks that have counted these units."""
    results = np.zeros((len(shares), WORK_RESULT_COLUMNS), np.int64)
    for result, share, count_nanoseconds in zip(results, shares, nanoseconds, strict=True):
        counted = Tally.of(JOB, share, HITS[share.start : share.stop])
        result[WorkResult.POINTS], result[WorkResult.UNITS] = counted.points, counted.units
        result[WorkResult.COUNT_NS] = count_nanoseconds
        result[WorkResult.TALLY :] = messages.pack(JOB, counted)
    return results


def shares_in(assignments: NDArray[np.int64], first: int) -> list[range]:
    return [
        range(first + assignment[Assignment.START], first + assignment[Assignment.STOP])
        for assignment in assignments.tolist()
    ]


SHORT_ROUNDS = Tuning(first_points=200, round_nanoseconds=1000, min_nanoseconds=1)

speeds = st.lists(st.integers(1, 1000), min_size=1, max_size=5)


@given(speeds)
def test_whole_run_counts_each_unit_once(nanoseconds_per_unit: list[int]) -> None:
    manager = Manager(Shard(JOB), [1] * len(nanoseconds_per_unit), SHORT_ROUNDS)
    assignments, first = manager.begin(), 0
    while assignments[0, Assignment.UNITS]:
        shares = shares_in(assignments, first)
        # They tile the round, whose length is the same in all assignments.
        units = int(assignments[0, Assignment.UNITS])
        assert [unit for share in shares for unit in share] == list(range(first, first + units))
        assert (assignments[:, Assignment.UNITS] == units).all()
        times = [len(share) * each for share, each in zip(shares, nanoseconds_per_unit, strict=True)]
        assignments, first = manager.next(results_of(shares, times)), first + units
        assert (assignments[:, Assignment.DONE] == units).all()
        assert manager.shard.tally == manager.counted == first_units(first)
    assert first == JOB.units
    assert manager.shard.complete
    assert manager.shard.usage.rounds == manager.rounds == len(manager.ledger.timeline.records)


@given(speeds, st.data())
def test_stopped_run_keeps_contiguous_units(speeds: list[int], data: st.DataObject) -> None:
    manager = Manager(Shard(JOB), [1] * len(speeds), SHORT_ROUNDS)
    shares = shares_in(manager.begin(), 0)
    done = [range(share.start, share.start + data.draw(st.integers(0, len(share)))) for share in shares]
    results = results_of(done, speeds)
    results[0, WorkResult.STOPPED] = True
    assignments = manager.next(results)
    assert (assignments[:, Assignment.STOPPED] == 1).all()
    assert not assignments[:, Assignment.UNITS].any()
    counted = sorted(unit for share in done for unit in share)
    contiguous = next((k for k, unit in enumerate(counted) if unit != k), len(counted))
    assert manager.shard.tally == first_units(contiguous)
    assert manager.counted.units == len(counted)


def test_missing_units_without_a_stop_end_the_run() -> None:
    manager = Manager(Shard(JOB), [1, 1], SHORT_ROUNDS)
    shares = shares_in(manager.begin(), 0)
    assignments = manager.next(results_of([shares[0], shares[1][:-1]], [10, 10]))
    assert assignments[0].tolist() == [0, 0, len(shares[0]) + len(shares[1]) - 1, 0, 0, 0, 0, 0]


def test_failure_of_a_rank_is_in_all_assignments() -> None:
    manager = Manager(Shard(JOB), [1, 1], SHORT_ROUNDS)
    results = results_of(shares_in(manager.begin(), 0), [10, 10])
    results[1, WorkResult.FAILED] = True
    assignments = manager.next(results)
    assert assignments[:, Assignment.FAILED].all()
    assert manager.shard.tally == manager.counted == Tally()


def test_core_time_of_many_ranks_for_years_does_not_overflow() -> None:
    """Each of four ranks has used a hundred years: together more nanoseconds than 64 bits hold."""
    manager = Manager(Shard(JOB), [64] * 4, SHORT_ROUNDS)
    century = 100 * 365 * 86400 * 10**9
    results = results_of(shares_in(manager.begin(), 0), [century] * 4)
    results[:, [WorkResult.USER_NS, WorkResult.SYSTEM_NS]] = century
    manager.next(results)
    usage = manager.shard.usage
    assert usage.user_seconds == usage.system_seconds == pytest.approx(4 * century / 1e9)
    assert usage.core_seconds == pytest.approx(4 * 64 * century / 1e9)


def test_sums_of_squares_of_many_ranks_do_not_overflow() -> None:
    manager = Manager(Shard(JOB), [1] * 4, SHORT_ROUNDS)
    results = results_of(shares_in(manager.begin(), 0), [10] * 4)
    results[:, WorkResult.TALLY + 2] = [2**62, 2**62 + 1, 2**63 - 1, 2]
    manager.next(results)
    assert manager.counted.by_size[JOB.points].squares == 2**64 + 2


def test_counts_of_a_wrong_kernel_are_not_resumed_from() -> None:
    manager = Manager(Shard(JOB), [1, 1], SHORT_ROUNDS)
    results = results_of(shares_in(manager.begin(), 0), [10, 10])
    results[1, WorkResult.WRONG] = True
    manager.next(results)
    assert not manager.kernels_right
    assert manager.shard.tally == Tally()
    assert manager.counted.units == results[:, WorkResult.UNITS].sum()


def test_rank_stats_have_hits_and_wrong_kernel_of_each_rank() -> None:
    manager = Manager(Shard(JOB), [1, 1], SHORT_ROUNDS)
    assignments, first, expected = manager.begin(), 0, [0, 0]
    while assignments[0, Assignment.UNITS]:
        shares = shares_in(assignments, first)
        expected = [
            hits + int(HITS[share.start : share.stop].sum())
            for hits, share in zip(expected, shares, strict=True)
        ]
        results = results_of(shares, [10, 20])
        results[1, WorkResult.WRONG] = first == 0
        assignments, first = manager.next(results), first + int(assignments[0, Assignment.UNITS])
    rows = manager.ledger.rank_stats(flame(ranks=2).ranks)
    assert [row.hits for row in rows] == expected
    assert [row.kernel_right for row in rows] == [True, False]


def test_packed_hits_include_last_blocks() -> None:
    job = Job(2, BLOCK + 1000, 1)
    hits = np.array([50_000_000, 700, 52_000_000, 800])
    rows = [
        messages.pack(job, Tally.of(job, units, hits[units.start : units.stop]))
        for units in (range(1), range(1, 4))
    ]
    assert messages.packed_hits(np.array(rows)).tolist() == [50_000_000, 52_001_500]
