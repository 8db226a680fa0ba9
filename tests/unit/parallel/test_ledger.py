"""What a new rank 0 knows of the ranks and rounds before it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.model.audit import Audit
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Sums, Tally
from mpi_pi.parallel.account import SUMMED, TOTALS, AuditState, Committed, LostTotals
from mpi_pi.parallel.ledger import Ledger

SHARD = Shard(Job(trials=300, points=50, seed=9))
COLUMNS = len(TOTALS)
REST = (0,) * (COLUMNS - 1)
NUMBERS = st.integers(0, 2**62)


def committed(sums: tuple[int, ...], *lost: LostTotals, rounds: int = 2, beyond: int = 0) -> Committed:
    """Return a state after some rounds; `beyond` units were counted beyond a gap, and none before it."""
    counted = Tally({SHARD.job.points: Sums(units=beyond)})
    return Committed(1, rounds, SHARD, counted, sums, seconds=3.5, lost=lost)


@given(st.lists(st.lists(NUMBERS, min_size=COLUMNS, max_size=COLUMNS), min_size=2, max_size=5), st.data())
def test_first_unknown_rank_gets_what_the_others_have_not_counted(
    rows: list[list[int]], data: st.DataObject
) -> None:
    """Known are ranks that are left, and those that were lost before the old rank 0."""
    places = range(len(rows))
    kinds = [data.draw(st.sampled_from(["left", "lost before", "unknown"])) for _ in places]
    unknown = [place for place in places if kinds[place] == "unknown"]
    # A double-precision sum of these would be off; what is unknown has to fit into 64 bits.
    rows = [[number // len(rows) for number in row] for row in rows]
    sums = tuple(sum(row[column] for row in rows) for column in range(COLUMNS))
    before = [LostTotals(place, 1.0, tuple(rows[place])) for place in places if kinds[place] == "lost before"]
    ledger = Ledger([1] * len(rows))
    totals = {place: np.array(rows[place], np.int64) for place in places if kinds[place] == "left"}
    ledger.take_over(committed(sums, *before), totals)

    assert ledger.sums()[:-1] == sums[:-1]
    (record,) = ledger.timeline.records
    assert (record.first_round, record.last_round) == (0, 1)
    assert (record.start_seconds, record.end_seconds) == (0.0, 3.5)
    assert record.hits == sums[2]
    for place in places:
        expected = rows[place]
        if unknown:
            if place == unknown[0]:
                expected = [sum(rows[each][column] for each in unknown) for column in range(COLUMNS)]
            elif place in unknown:
                expected = [0] * COLUMNS
        own = record.units[place], record.points[place], record.count_nanoseconds[place]
        assert list(own) == [expected[0], expected[1], expected[3]]
    assert [lost[:2] for lost in ledger.lost()] == [(lost.place, lost.seconds) for lost in before]
    assert [lost.totals[:-1] for lost in ledger.lost()] == [lost.totals[:-1] for lost in before]


def test_units_beyond_a_gap_are_taken_for_those_of_the_last_ranks() -> None:
    ledger = Ledger([1, 1, 1])
    rows = {place: np.array([units, *REST], np.int64) for place, units in enumerate([5, 4, 3])}
    ledger.take_over(committed((12, *REST), rounds=1, beyond=5), rows)
    assert ledger.timeline.records[0].lost_units.tolist() == [0, 2, 3]


def test_take_over_before_the_first_round_has_no_rounds() -> None:
    ledger = Ledger([1, 1])
    ledger.take_over(committed((0,) * COLUMNS, rounds=0), {1: np.zeros(COLUMNS, np.int64)})
    assert ledger.timeline.records == []
    assert ledger.sums() == (0,) * COLUMNS


def test_first_unknown_rank_gets_what_the_others_have_counted_in_vain() -> None:
    """Ranks 0 and 2 are lost at once, of which 2 had counted a unit that is counted again."""
    discarded = ((0, 0, 0, 0, 0), (1, 50, 40, 7, 6), (1, 50, 41, 8, 5))
    rest = (0,) * (COLUMNS - SUMMED)
    state = committed((9, 450, 360, 70, 60, *rest))._replace(discarded=discarded)
    ledger = Ledger([1, 1, 1])
    ledger.take_over(state, {1: np.array([3, 150, 120, 20, 15, *rest], np.int64)})
    assert ledger.net_totals.tolist() == [[5, 250, 199, 42, 40], [2, 100, 80, 13, 9], [0] * SUMMED]


def test_rank_that_was_excluded_is_not_taken_for_the_one_that_has_counted() -> None:
    """It may have been excluded in the first round, and has then counted nothing."""
    sums = (9, 450, 360, 70, *(0,) * (COLUMNS - 4))
    state = committed(sums)._replace(audit=AuditState(Audit(0.1), frozenset([0]), 0, 1))
    ledger = Ledger([1, 1, 1])
    ledger.take_over(state, {1: np.zeros(COLUMNS, np.int64)})
    assert ledger.net_totals[:, 0].tolist() == [0, 0, 9]
