"""The manager of rank 0 in simulated runs without MPI, against the reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_pi.kernel import reference
from mpi_pi.model import tally
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Tally
from mpi_pi.parallel.load_balancer import Tuning
from mpi_pi.parallel.manager import WORK_RESULT_COLUMNS, Assignment, Manager, WorkResult
from support.runs import flame

JOB = Job(trials=300, points=50, seed=9)
HITS = reference.count(JOB, range(JOB.units))


def first_units(number: int) -> Tally:
    return Tally.of(JOB, range(number), HITS[:number])


def reports_of(shares: list[range], nanoseconds: list[int]) -> NDArray[np.int64]:
    """What ranks report that have counted these units."""
    reports = np.zeros((len(shares), WORK_RESULT_COLUMNS), np.int64)
    for report, share, count_nanoseconds in zip(reports, shares, nanoseconds, strict=True):
        counted = Tally.of(JOB, share, HITS[share.start : share.stop])
        report[WorkResult.POINTS], report[WorkResult.UNITS] = counted.points, counted.units
        report[WorkResult.COUNT_NS] = count_nanoseconds
        report[WorkResult.TALLY :] = tally.pack(JOB, counted)
    return reports


def shares_in(orders: NDArray[np.int64], first: int) -> list[range]:
    return [
        range(first + order[Assignment.START], first + order[Assignment.STOP]) for order in orders.tolist()
    ]


SHORT_ROUNDS = Tuning(first_points=200, round_nanoseconds=1000, min_nanoseconds=1)

speeds = st.lists(st.integers(1, 1000), min_size=1, max_size=5)


@given(speeds)
def test_whole_run_counts_each_unit_once(nanoseconds_per_unit: list[int]) -> None:
    manager = Manager(Shard(JOB), [1] * len(nanoseconds_per_unit), SHORT_ROUNDS)
    orders, first = manager.begin(), 0
    while orders[0, Assignment.UNITS]:
        shares = shares_in(orders, first)
        # They tile the round, and everybody is told the same of it.
        units = int(orders[0, Assignment.UNITS])
        assert [unit for share in shares for unit in share] == list(range(first, first + units))
        assert (orders[:, Assignment.UNITS] == units).all()
        times = [len(share) * each for share, each in zip(shares, nanoseconds_per_unit, strict=True)]
        orders, first = manager.next(reports_of(shares, times)), first + units
        assert (orders[:, Assignment.DONE] == units).all()
        assert manager.shard.tally == manager.counted == first_units(first)
    assert first == JOB.units
    assert manager.shard.complete
    assert manager.shard.usage.rounds == manager.rounds == len(manager.timeline.records)


@given(speeds, st.data())
def test_run_that_is_stopped_keeps_what_follows_on_without_a_gap(
    speeds: list[int], data: st.DataObject
) -> None:
    manager = Manager(Shard(JOB), [1] * len(speeds), SHORT_ROUNDS)
    shares = shares_in(manager.begin(), 0)
    done = [range(share.start, share.start + data.draw(st.integers(0, len(share)))) for share in shares]
    reports = reports_of(done, speeds)
    reports[0, WorkResult.STOPPED] = True
    orders = manager.next(reports)
    assert (orders[:, Assignment.STOPPED] == 1).all()
    assert not orders[:, Assignment.UNITS].any()
    counted = sorted(unit for share in done for unit in share)
    in_line = next((k for k, unit in enumerate(counted) if unit != k), len(counted))
    assert manager.shard.tally == first_units(in_line)
    assert manager.counted.units == len(counted)


def test_units_that_are_missing_without_a_stop_end_the_run() -> None:
    manager = Manager(Shard(JOB), [1, 1], SHORT_ROUNDS)
    shares = shares_in(manager.begin(), 0)
    orders = manager.next(reports_of([shares[0], shares[1][:-1]], [10, 10]))
    assert orders[0].tolist() == [0, 0, len(shares[0]) + len(shares[1]) - 1, 0, 0, 0]


def test_rank_that_has_failed_is_told_to_all() -> None:
    manager = Manager(Shard(JOB), [1, 1], SHORT_ROUNDS)
    reports = reports_of(shares_in(manager.begin(), 0), [10, 10])
    reports[1, WorkResult.FAILED] = True
    orders = manager.next(reports)
    assert orders[:, Assignment.FAILED].all()
    assert manager.shard.tally == manager.counted == Tally()


def test_core_time_of_many_ranks_for_years_does_not_overflow() -> None:
    """Each of four ranks has used a hundred years: together more nanoseconds than 64 bits hold."""
    manager = Manager(Shard(JOB), [64] * 4, SHORT_ROUNDS)
    century = 100 * 365 * 86400 * 10**9
    reports = reports_of(shares_in(manager.begin(), 0), [century] * 4)
    reports[:, [WorkResult.USER_NS, WorkResult.SYSTEM_NS]] = century
    manager.next(reports)
    spent = manager.shard.usage
    assert spent.user_seconds == spent.system_seconds == pytest.approx(4 * century / 1e9)
    assert spent.core_seconds == pytest.approx(4 * 64 * century / 1e9)


def test_sums_of_squares_of_many_ranks_do_not_overflow() -> None:
    manager = Manager(Shard(JOB), [1] * 4, SHORT_ROUNDS)
    reports = reports_of(shares_in(manager.begin(), 0), [10] * 4)
    reports[:, WorkResult.TALLY + 2] = [2**62, 2**62 + 1, 2**63 - 1, 2]
    manager.next(reports)
    assert manager.counted.by_size[JOB.points].squares == 2**64 + 2


def test_counts_of_a_wrong_kernel_are_not_gone_on_from() -> None:
    manager = Manager(Shard(JOB), [1, 1], SHORT_ROUNDS)
    reports = reports_of(shares_in(manager.begin(), 0), [10, 10])
    reports[1, WorkResult.WRONG] = True
    manager.next(reports)
    assert not manager.kernels_right
    assert manager.shard.tally == Tally()
    assert manager.counted.units == reports[:, WorkResult.UNITS].sum()


def test_hits_of_each_rank_and_whose_kernel_is_wrong_are_known() -> None:
    manager = Manager(Shard(JOB), [1, 1], SHORT_ROUNDS)
    orders, first, expected = manager.begin(), 0, [0, 0]
    while orders[0, Assignment.UNITS]:
        shares = shares_in(orders, first)
        expected = [
            hits + int(HITS[share.start : share.stop].sum())
            for hits, share in zip(expected, shares, strict=True)
        ]
        reports = reports_of(shares, [10, 20])
        reports[1, WorkResult.WRONG] = first == 0
        orders, first = manager.next(reports), first + int(orders[0, Assignment.UNITS])
    rows = manager.rank_stats(flame(ranks=2).ranks)
    assert [row.hits for row in rows] == expected
    assert [row.kernel_right for row in rows] == [True, False]


def test_hits_of_last_blocks_count_too() -> None:
    job = Job(2, BLOCK + 1000, 1)
    hits = np.array([50_000_000, 700, 52_000_000, 800])
    rows = [
        tally.pack(job, Tally.of(job, units, hits[units.start : units.stop]))
        for units in (range(1), range(1, 4))
    ]
    assert tally.packed_hits(np.array(rows)).tolist() == [50_000_000, 52_001_500]
