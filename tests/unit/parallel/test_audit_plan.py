"""Plans of the audit of a round: which units are counted by which two ranks, and how often."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_pi.parallel import audit_plan
from mpi_pi.parallel.audit_plan import NOTHING, AuditPlan, Ranks, plan

Row = NDArray[np.int64]


class Case(NamedTuple):
    counts: list[int]
    """Units of each rank."""
    hosts: list[int]
    share: float
    seed: int = 5
    excluded: frozenset[int] = frozenset()

    def plan(self, draw: int = 1) -> AuditPlan:
        ranks = Ranks(np.array(self.hosts, np.int64), np.array(self.trusted, np.bool_))
        return plan(places_of(self.counts), ranks, self.share, self.seed, draw)

    @property
    def trusted(self) -> list[bool]:
        return [rank not in self.excluded for rank in range(len(self.counts))]


def places_of(counts: list[int]) -> Row:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    ranks = draw(st.integers(1, 7))
    most = draw(st.sampled_from([2, 30, 1000, 10**9]))
    counts = draw(st.lists(st.integers(0, most), min_size=ranks, max_size=ranks))
    hosts = draw(st.lists(st.integers(0, 2), min_size=ranks, max_size=ranks))
    share = draw(st.sampled_from([1e-6, 0.01, 0.1, 0.5, 0.9, 1.0]) | st.floats(1e-9, 1.0))
    excluded = draw(st.frozensets(st.integers(0, ranks - 1)))
    counts = [0 if rank in excluded else count for rank, count in enumerate(counts)]
    return Case(counts, hosts, share, draw(st.integers(0, 2**200)), excluded)


draws = st.integers(1, 10**9)


@given(cases(), draws)
def test_runs_lie_in_the_units_of_their_counters_and_do_not_overlap(case: Case, draw: int) -> None:
    runs, places = case.plan(draw), places_of(case.counts)
    assert (runs.start < runs.stop).all()
    assert (runs.start >= places[runs.counter]).all()
    assert (runs.stop <= places[runs.counter + 1]).all()
    assert all(stop <= start for stop, start in pairwise(zip_flat(runs)))


def zip_flat(runs: AuditPlan) -> list[int]:
    """Return start and stop of one run after the other; overlapping runs are not ascending."""
    return np.column_stack([runs.start, runs.stop]).ravel().tolist()


@given(cases(), draws)
def test_auditor_is_another_trusted_rank_and_of_another_host_if_there_are_several(
    case: Case, draw: int
) -> None:
    """A rank without units audits only if those that have some are all of one host, or one alone."""
    runs, hosts = case.plan(draw), np.array(case.hosts)
    assert (runs.auditor != runs.counter).all()
    assert np.array(case.trusted)[runs.auditor].all()
    ranks = list(zip(case.hosts, case.counts, case.trusted, strict=True))
    if len({host for host, _, is_trusted in ranks if is_trusted}) > 1:
        assert (hosts[runs.auditor] != hosts[runs.counter]).all()
    with_units = {host for host, count, _ in ranks if count}
    if len(with_units) > 1:
        assert (np.array(case.counts)[runs.auditor] > 0).all()


@given(cases().filter(lambda case: max(case.counts) <= 1000), draws)
def test_share_of_all_covers_each_unit_once(case: Case, draw: int) -> None:
    runs = case._replace(share=1.0).plan(draw)
    covered = [
        unit
        for start, stop in zip(runs.start.tolist(), runs.stop.tolist(), strict=True)
        for unit in range(start, stop)
    ]
    alone = sum(case.trusted) < 2
    assert covered == ([] if alone else list(range(sum(case.counts))))


@given(cases(), draws)
def test_plan_is_the_same_on_any_rank_and_complete_for_counters_and_auditors(case: Case, draw: int) -> None:
    runs, again = case.plan(draw), case.plan(draw)
    assert all((one == other).all() for one, other in zip(runs, again, strict=True))
    length, ranks = runs.stop - runs.start, range(len(case.counts))
    for parts, whose in ((runs.of_counter, runs.counter), (runs.of_auditor, runs.auditor)):
        indices = [parts(rank).tolist() for rank in ranks]
        assert sorted(index for those in indices for index in those) == list(range(len(length)))
        assert all(whose[index] == rank for rank in ranks for index in indices[rank])
    compared = [int(length[(runs.counter == rank) | (runs.auditor == rank)].sum()) for rank in ranks]
    assert runs.compared(len(ranks)).tolist() == compared


@pytest.mark.parametrize("counts", [[0, 0, 0], [7, 0, 0], [0, 9, 0]])
def test_nothing_is_audited_by_a_single_rank(counts: list[int]) -> None:
    rest = frozenset(rank for rank in range(3) if not counts[rank])
    assert Case(counts, [0, 1, 1], 1.0, excluded=rest).plan() is NOTHING
    assert Case(counts[:1], [0], 1.0).plan() is NOTHING


def test_units_of_one_rank_are_divided_over_all_others() -> None:
    runs = Case([0, 2000, 0, 0, 0], [0, 0, 1, 1, 0], 1.0, excluded=frozenset([3])).plan()
    assert set(runs.auditor.tolist()) == {2}
    runs = Case([0, 2000, 0, 0, 0], [0] * 5, 1.0, excluded=frozenset([3])).plan()
    assert set(runs.auditor.tolist()) == {0, 2, 4}


DRAWS = 800

UNEVEN = [
    Case([40, 25, 7, 0, 60], [0, 1, 1, 0, 0], 0.1),
    Case([40, 25, 7, 60], [0, 0, 0, 0], 0.5),
    Case([3, 90], [0, 0], 0.9),
    Case([9, 1, 14, 8], [0, 1, 2, 3], 0.02),
    Case([50, 50, 50, 2], [0, 0, 0, 1], 0.1),
]


@pytest.mark.parametrize("case", UNEVEN)
def test_each_unit_is_audited_as_often_as_asked(case: Case) -> None:
    """Draws are independent, so the number of audits of a unit, be it the first or the last, is binomial."""
    times = np.zeros(sum(case.counts) + 1, np.int64)
    for draw in range(DRAWS):
        runs = case.plan(draw)
        np.add.at(times, runs.start, 1)
        np.add.at(times, runs.stop, -1)
    audits = np.cumsum(times)[:-1]
    sigma = np.sqrt(DRAWS * case.share * (1 - case.share))
    assert np.abs(audits - DRAWS * case.share).max() < 5 * sigma


@pytest.mark.parametrize("case", [UNEVEN[0], Case([500, 300, 100, 900], [0, 0, 1, 2], 0.1)])
def test_audits_are_divided_as_units_are(case: Case) -> None:
    """Unless one host has more than half of the units, which the others then audit."""
    recounted, counts = np.zeros(len(case.counts), np.int64), np.array(case.counts)
    for draw in range(400):
        runs = case.plan(draw)
        recounted += np.bincount(runs.auditor, runs.stop - runs.start, len(counts)).astype(np.int64)
    if case is UNEVEN[0]:  # hosts have 100 and 32 units
        of_hosts = [int(recounted[[0, 3, 4]].sum()), int(recounted[[1, 2]].sum())]
        assert of_hosts == pytest.approx([1280, 4000], rel=0.15)
    else:
        assert recounted == pytest.approx(400 * case.share * counts, rel=0.2)  # cells differ in size


@given(
    st.lists(st.tuples(st.integers(5000, 50_000), st.integers(0, 2)), min_size=2, max_size=8),
    draws,
)
def test_every_rank_audits_and_is_audited_in_a_long_round(ranks: list[tuple[int, int]], draw: int) -> None:
    counts, hosts = [count for count, _ in ranks], [host for _, host in ranks]
    runs = Case(counts, hosts, 0.1).plan(draw)
    assert set(runs.counter.tolist()) == set(range(len(ranks)))
    of_host = [sum(count for count, host in ranks if host == each) for each in set(hosts)]
    if len(of_host) == 1 or 2 * max(of_host) < 0.9 * sum(of_host):
        assert set(runs.auditor.tolist()) == set(range(len(ranks)))


def test_draws_differ() -> None:
    case = Case([1000] * 4, [0, 1, 2, 3], 0.1)
    starts = {tuple(case.plan(draw).start.tolist()) for draw in range(50)}
    assert len(starts) == 50
    assert case.plan().start.tolist() != case._replace(seed=6).plan().start.tolist()
    auditors = {tuple(case.plan(draw).auditor[:1].tolist()) for draw in range(50)}
    assert len(auditors) > 1


def test_round_with_less_than_a_unit_for_each_rank_has_one_of_each_or_none() -> None:
    case = Case([30, 30, 30], [0, 1, 2], 0.01)
    numbers = [len(case.plan(draw).start) for draw in range(800)]
    assert set(numbers) == {0, 3}
    sigma = (0.3 * 0.7 / 800) ** 0.5
    assert abs(numbers.count(3) / 800 - 0.3) < 5 * sigma


def test_numbers_drawn_are_those_of_splitmix64() -> None:
    """Its published algorithm in Python's integers."""
    mask = 2**64 - 1
    sequence = np.random.SeedSequence(7, spawn_key=(*audit_plan.DRAW, 3, 1))
    state = int(sequence.generate_state(1, np.uint64)[0])
    for found in audit_plan.drawn(7, 3, 1, 5).tolist():
        state = (state + 0x9E3779B97F4A7C15) & mask
        word = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        assert found == ((word ^ (word >> 31)) >> 11) / 2**53
