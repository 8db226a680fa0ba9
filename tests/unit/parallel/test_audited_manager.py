"""Bookkeeping of an audited run, without MPI, beside a model that knows who has counted each unit.

Ranks count units wrongly, each in its own way; ranks are lost, rank 0 among them; runs are resumed or
stopped; and what rank 0 remembers is so little that it forgets now and then.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job
from mpi_pi.model.result import LostRank, Result
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Tally
from mpi_pi.parallel import messages, origins, repair
from mpi_pi.parallel.audit_book import AuditBook
from mpi_pi.parallel.audit_plan import Ranks, plan
from mpi_pi.parallel.disputes import Verdict
from mpi_pi.parallel.load_balancer import Tuning
from mpi_pi.parallel.manager import Manager
from mpi_pi.parallel.messages import DISPUTE, WORK_RESULT_COLUMNS, Assignment, WorkResult
from mpi_pi.storage import result_file
from support.runs import flame

JOB = Job(trials=150, points=50, seed=9)
HITS = reference.count(JOB, range(JOB.units))
OFFSETS = 12


@dataclass(frozen=True)
class Case:
    """A run, and what happens in it; numbers of rounds count those that were begun."""

    hosts: Sequence[int]
    share: float
    nanoseconds: Sequence[int]
    """Time that each rank takes for a unit; a round takes a million."""
    periods: Sequence[int]
    """By rank, every how many units it errs; 0 for never."""
    losses: Mapping[int, int] = field(default_factory=dict)
    """By number of the round, the place of a rank that is lost after it; 0 for the lowest one."""
    stop: int = 0
    """Round in which the run is stopped, 0 for never."""
    done: Sequence[float] = ()
    """Share of its units that each rank then has counted."""
    begun: Sequence[bool] = ()
    """Whether each of the first units was counted by an earlier run."""
    proven: int = 0
    """Number of the first of them that two ranks had counted."""

    def hits(self, place: int, unit: int) -> int:
        period = self.periods[place]
        errs = period and (unit * 7919 + place) % period == 0
        return int(HITS[unit]) + (1 + place if errs else 0)


def tally_of(hits: Sequence[int]) -> Tally:
    return Tally.of(JOB, range(len(hits)), np.array(hits, np.int64))


class Model:
    """Plain simulation: the place that has counted each unit, None for an earlier run."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.owners: dict[int, int | None] = {
            unit: None for unit, is_counted in enumerate(case.begun) if is_counted
        }
        self.proven = range(case.proven)
        self.unknown = set(self.unproven)
        """Units of which rank 0 does not know any more who has counted them."""
        self.beyond: list[tuple[int, int]] = []
        """Units, each with its rank, that were counted beyond a gap."""
        self.rounds = 0

    @property
    def unproven(self) -> set[int]:
        return self.owners.keys() - set(self.proven)

    @property
    def begun(self) -> Shard:
        return Shard(
            JOB,
            tally=self.tally,
            usage=Usage(runs=1, rounds=1) if self.owners else Usage(),
            gaps=self.gaps,
            proven=tally_of([int(HITS[unit]) for unit in self.proven]),
        )

    @property
    def tally(self) -> Tally:
        return tally_of([self.hits(unit, owner) for unit, owner in self.owners.items()])

    @property
    def gaps(self) -> tuple[range, ...]:
        missing = sorted(set(range(max(self.owners, default=0))) - self.owners.keys())
        starts = [unit for unit in missing if unit - 1 not in missing]
        stops = [unit + 1 for unit in missing if unit + 1 not in missing]
        return tuple(map(range, starts, stops))

    def hits(self, unit: int, owner: int | None) -> int:
        return int(HITS[unit]) if owner is None else self.case.hits(owner, unit)

    def record(self, done: Mapping[int, int], units: range, recounted: set[int]) -> None:
        """Record the place of each unit that was counted in a round of `units`."""
        first_missing = next((unit for unit in units if unit not in done), units.stop)
        kept = {unit: place for unit, place in done.items() if unit < first_missing}
        self.owners |= kept
        self.beyond += [one for one in done.items() if one[0] > first_missing]
        if done and recounted == done.keys() and units.start == self.proven.stop:
            self.proven = range(units.start + len(kept))
            return
        self.rounds += 1
        if self.rounds * (len(self.case.hosts) + 1) > OFFSETS:
            self.forget()

    def forget(self) -> None:
        self.unknown, self.rounds = set(self.unproven), 0

    def take_over(self) -> None:
        if self.unproven:
            self.proven = range(self.case.proven)
        self.forget()

    def exclude(self, wrong: set[int]) -> None:
        for unit in self.unproven:
            if unit in self.unknown or self.owners[unit] in wrong:
                del self.owners[unit]
        self.unknown.clear()

    def check(self, manager: Manager, knows_ranks: bool) -> None:
        saved = manager.saved
        assert saved.tally == self.tally
        assert (saved.gaps, saved.proven.units) == (self.gaps, len(self.proven))
        assert manager.counted == saved.tally + tally_of([self.hits(*one) for one in self.beyond])
        own = [(unit, place) for unit, place in self.owners.items() if place is not None] + self.beyond
        totals = np.zeros((len(self.case.hosts), 4), np.int64)
        for unit, place in own:
            row = (1, JOB.points, self.hits(unit, place), self.case.nanoseconds[place])
            totals[place] += np.array(row)
        net, records = manager.ledger.net_totals[:, :4], manager.ledger.timeline.records
        names = ("units", "points", "count_nanoseconds")
        timeline = np.zeros((len(self.case.hosts), 4), np.int64)
        timeline[:, [0, 1, 3]] = sum(
            np.column_stack([getattr(one, name) for name in names]) for one in records
        )
        assert net.sum(axis=0).tolist() == totals.sum(axis=0).tolist()
        assert sum(record.hits for record in records) == totals[:, 2].sum()
        assert timeline[:, [0, 1, 3]].tolist() == net[:, [0, 1, 3]].tolist()
        if knows_ranks:
            assert net.tolist() == totals.tolist()


class Run:
    """A run of the product's bookkeeping through all rounds of a case."""

    def __init__(self, case: Case) -> None:
        self.case, self.model = case, Model(case)
        self.begun = self.model.begun
        self.stats = tuple(
            replace(
                row, units=0, points=0, hits=0, count_seconds=0.0, info=row.info._replace(host=f"node{host}")
            )
            for row, host in zip(flame(ranks=len(case.hosts)).ranks, case.hosts, strict=True)
        )
        self.manager = self._new_manager()
        self.knows_ranks = True
        self.excluded: set[int] = set()

    def _new_manager(self) -> Manager:
        tuning = Tuning(first_points=JOB.points, round_nanoseconds=10**6, min_nanoseconds=1)
        book = AuditBook(self.case.share, self.begun, self.case.hosts)
        return Manager(self.begun, [1] * len(self.case.hosts), tuning, book=book)

    def run(self) -> Result:
        assignments, number = self.manager.begin(), 0
        while assignments[0, Assignment.UNITS]:
            number += 1
            assignments = self._round(assignments, is_cut=number == self.case.stop)
            if (lost := self.case.losses.get(number)) is not None and len(self.manager.members) > 1:
                assignments = self._lose(lost)
            self.model.check(self.manager, self.knows_ranks)
        return self._result()

    def _round(self, assignments: NDArray[np.int64], is_cut: bool) -> NDArray[np.int64]:
        manager, units = self.manager, self.manager.units
        head = manager.audit_head()
        assert head is not None
        members = manager.members.tolist()
        trusted = np.array([place not in self.excluded for place in members])
        ranks = Ranks(np.array(self.case.hosts)[members], trusted)
        runs = plan(manager.offsets, ranks, self.case.share, JOB.seed, int(head[0]))
        assert head[2:].tolist() == [*trusted, *manager.offsets]
        done: dict[int, int] = {}
        results = np.zeros((len(members), WORK_RESULT_COLUMNS), np.int64)
        for result, place, row in zip(results, members, assignments.tolist(), strict=True):
            own = units[row[Assignment.START] : row[Assignment.STOP]]
            assert not (own and place in self.excluded)
            if is_cut:
                own = own[: round(self.case.done[place] * len(own))]
            done |= dict.fromkeys(own, place)
            counted = tally_of([self.case.hits(place, unit) for unit in own])
            result[[WorkResult.UNITS, WorkResult.POINTS]] = counted.units, counted.points
            result[WorkResult.COUNT_NS] = len(own) * self.case.nanoseconds[place]
            result[WorkResult.TALLY :] = messages.pack(JOB, counted)
            result[WorkResult.STOPPED] = is_cut
        recounted, wrong = set[int](), dict[int, Verdict]()
        for start, stop, counter, auditor in zip(*(column.tolist() for column in runs), strict=True):
            for unit in units[start:stop]:
                if unit in done:
                    recounted.add(unit)
                    results[auditor, WorkResult.RECOUNTED] += 1
                    hits = [self.case.hits(members[rank], unit) for rank in (counter, auditor)]
                    if hits[0] != hits[1]:
                        results[auditor, WorkResult.DIFFERENT] = 1
                        for rank, found in zip((counter, auditor), hits, strict=True):
                            if found != HITS[unit]:
                                wrong[members[rank]] = Verdict(rank, unit, found, int(HITS[unit]), 1)
        assignments = manager.next(results)
        if not wrong:
            self.model.record(done, units, recounted)
            return assignments
        assert (assignments[:, Assignment.FAILED] == DISPUTE).all()
        self.excluded |= wrong.keys()
        self.model.exclude(set(wrong))
        repair.exclude(manager, wrong, self.stats, manager.start + 1.0)
        return manager.begin()

    def _lose(self, lost: int) -> NDArray[np.int64]:
        """Lose a member; if it is the lowest one, the next one goes on with what it knows."""
        old, members = self.manager, self.manager.members.tolist()
        place = members[lost % len(members)]
        left = [member for member in members if member != place]
        if place == members[0]:
            self.manager = self._new_manager()
            totals = {member: old.ledger._totals[member] for member in left}
            repair.take_over(self.manager, repair.committed(old), totals, old.start)
            self.model.take_over()
            self.knows_ranks = False
        row = self.stats[place]
        lost_rank = LostRank(row.rank, row.info.host)
        repair.go_on(self.manager, left, [lost_rank], 0, self.manager.start + 1.0)
        return self.manager.begin()

    def _result(self) -> Result:
        manager = self.manager
        return Result(
            shard=manager.shard,
            tally=manager.counted,
            usage=manager.usage(1.0, 1.0),
            ranks=manager.ledger.rank_stats(self.stats),
            timeline=manager.ledger.timeline,
            rounds=manager.rounds,
            kernels_right=manager.kernels_right,
            mpi_library="An MPI",
            repairs=manager.ledger.repairs,
            audit=manager.book.audit if manager.book else None,
        )


def drawn_case(seed: int) -> Case:
    """Return a case in which much happens; few of those that hypothesis draws get far."""
    some = random.Random(seed)
    ranks = some.randint(2, 5)
    periods = some.choices([0, 0, 3, 10, 30, 60], k=ranks)
    periods[some.randrange(ranks)] = 0  # one is sound, and excluded never
    losses = {some.randint(1, 20): some.randrange(5), some.randint(1, 20): 0}
    begun = [*some.choices([True, False], [9, 1], k=some.randint(0, 40)), True]
    is_resumed = some.random() < 0.3
    gap = begun.index(False) if False in begun else len(begun)
    return Case(
        some.choices(range(3), k=ranks),
        some.choice([1.0, 0.5, 0.2, 0.05]),
        some.choices(range(10**5, 10**6), k=ranks),
        periods,
        losses if some.random() < 0.7 else {},
        some.choice([0, 0, some.randint(1, 12)]),
        some.choices([1.0, 0.5, 0.0], k=ranks),
        begun if is_resumed else (),
        some.randint(0, gap) if is_resumed else 0,
    )


@pytest.fixture(autouse=True, scope="module")
def _little_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(origins, "MAX_OFFSETS", OFFSETS)
        yield


@settings(max_examples=50)
@given(st.integers(0, 2**32).map(drawn_case))
def test_every_unit_is_accounted_for_whoever_is_wrong_or_lost(case: Case) -> None:
    run = Run(case)
    result = run.run()
    nobody_is_left = set(run.manager.members.tolist()) <= run.excluded
    assert result.kernels_right is not nobody_is_left
    if not case.stop and not nobody_is_left:
        assert result.shard.complete
        assert result.tally.units == JOB.units
    wrong = {place for place, period in enumerate(case.periods) if period}
    owners = set(run.model.owners.values()) | {place for _, place in run.model.beyond}
    if result.shard.complete and not owners & wrong:
        assert result.tally == Tally.of(JOB, range(JOB.units), HITS)
    assert result.audit
    assert {rank.rank for rank in result.audit.wrong} == run.excluded <= wrong
    # What is written is read, in which many sums are compared.
    read = result_file.of_content(result_file.as_json(result).encode())
    assert replace(read.shard, usage=result.shard.usage) == result.shard
    assert (read.tally, read.audit) == (result.tally, result.audit)
    assert read.repairs == result.repairs
