"""Shards that have gaps and proven units, against plain sets of units; and their JSON."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.model.job import BLOCK, Job
from mpi_pi.model.shard import Shard, between, joined
from mpi_pi.model.tally import Sums, Tally
from mpi_pi.storage.fields import as_fields, from_fields

jobs = st.builds(
    Job,
    trials=st.integers(2, 12),
    points=st.sampled_from([1, 1000, BLOCK + 1, 3 * BLOCK - 1]),
    seed=st.just(0),
)


def tally_of(job: Job, units: Iterable[int]) -> Tally:
    """Return the tally of units, each with hits that tell it apart."""
    ones = (Tally.of(job, range(unit, unit + 1), hits_of(job, unit)) for unit in units)
    return sum(ones, Tally())


def hits_of(job: Job, unit: int) -> Any:
    return np.array([job.unit_points(unit) * (unit % 5 + 1) // 6], np.int64)


class Counted:
    """A shard, with its units as sets."""

    def __init__(self, job: Job, index: int, count: int) -> None:
        self.shard = Shard(job, index, count)
        self.counted, self.proven = set[int](), set[int]()

    def count(self, number: int, is_proven: bool) -> None:
        """Count the first units of the first range that remains."""
        units = self.shard.remaining[0][:number]
        self.shard = self.shard.after(tally_of(self.shard.job, units), is_proven)
        self.counted |= set(units)
        if is_proven and len(self.proven) == units.start - self.shard.units.start:
            self.proven |= set(units)

    def remove(self, ranges: list[range]) -> None:
        units = {unit for each in ranges for unit in each}
        self.shard = self.shard.without(ranges, tally_of(self.shard.job, units))
        self.counted -= units

    def check(self) -> None:
        shard, job = self.shard, self.shard.job
        counted_to = max(self.counted, default=shard.units.start - 1) + 1
        assert shard.tally == tally_of(job, self.counted)
        assert shard.proven == tally_of(job, self.proven)
        assert set(shard.proven_units) == self.proven
        assert shard.counted_to == counted_to
        assert as_set(shard.gaps) == set(range(shard.units.start, counted_to)) - self.counted
        assert as_set(shard.unproven) == self.counted - self.proven
        assert as_set(shard.remaining) == set(shard.units) - self.counted
        assert shard.complete == (len(self.counted) == len(shard.units))
        assert shard.only_proven.tally == shard.proven
        assert as_set(shard.only_proven.remaining) == set(shard.units) - self.proven
        assert from_fields(json.loads(json.dumps(as_fields(shard)))) == shard


def as_set(ranges: Iterable[range]) -> set[int]:
    """Return the numbers of ranges, which are ascending, not empty, and do not touch."""
    ranges = list(ranges)
    assert all(ranges)
    assert all(one.stop < other.start for one, other in pairwise(ranges))
    return {unit for each in ranges for unit in each}


@given(jobs, st.data())
def test_units_of_a_shard_are_those_of_sets_after_any_counts_and_removals(
    job: Job, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, min(3, job.units)))
    model = Counted(job, data.draw(st.integers(1, count)), count)
    for _ in range(data.draw(st.integers(0, 12))):
        unproven = sorted(model.counted - model.proven)
        step = data.draw(st.sampled_from(["remove", "count", "prove"]))
        if unproven and step == "remove":
            some = data.draw(st.sets(st.sampled_from(unproven), min_size=1))
            model.remove(list(joined(range(unit, unit + 1) for unit in some)))
        elif model.shard.remaining:
            length = len(model.shard.remaining[0])
            model.count(data.draw(st.integers(1, length)), is_proven=step == "prove")
        model.check()


ranges = st.lists(st.builds(lambda start, length: range(start, start + length), *[st.integers(0, 9)] * 2))


@given(ranges)
def test_joined_ranges_have_the_same_numbers(some: list[range]) -> None:
    assert as_set(joined(some)) == {number for each in some for number in each}


@given(ranges)
def test_numbers_between_ranges_are_those_that_are_in_none(some: list[range]) -> None:
    inner = joined(range(max(each.start, 3), min(each.stop, 12)) for each in some)
    assert as_set(between(range(3, 12), inner)) == set(range(3, 12)) - {
        unit for each in inner for unit in each
    }


@given(jobs, st.data())
def test_tally_without_a_part_is_that_of_the_other_units(job: Job, data: st.DataObject) -> None:
    units = data.draw(st.sets(st.integers(0, job.units - 1)))
    part = data.draw(st.sets(st.sampled_from(sorted(units)))) if units else set()
    assert tally_of(job, units) - tally_of(job, part) == tally_of(job, units - part)


def test_units_without_bins_are_subtracted_from_those_with() -> None:
    """Units of an old checkpoint are in no bin."""
    old = Tally({1000: Sums(2, 1570, 0)})
    binned = Tally.of(Job(3, 1000, 0), range(3), np.array([700, 785, 800]))
    rest = (old + binned - old).by_size[1000]
    assert rest == binned.by_size[1000]
    assert (old + binned - binned).by_size[1000][:3] == old.by_size[1000][:3]


JOB = Job(10, 1000, 0)

WITH_GAP = Shard(JOB, 1, 1, tally_of(JOB, [0, 1, 2, 5, 6]), gaps=(range(3, 5),), proven=tally_of(JOB, [0, 1]))

NO_RANGES = "gaps: are not ranges between units that were counted"
TOO_MANY = "gaps: more units are counted or left out than there are"
NOT_FIRST = "the units counted are not the first ones"


@pytest.mark.parametrize(
    ("gaps", "why"),
    [
        ([[3, 5], [5, 6]], NO_RANGES),
        ([[4, 5], [3, 4]], NO_RANGES),
        ([[5, 5]], NO_RANGES),
        ([[5, 3]], NO_RANGES),
        ([[-1, 1]], NO_RANGES),
        ([[5, 7]], NO_RANGES),
        ([[7, 9]], NO_RANGES),
        ([[3, 4], [3, 4]], NO_RANGES),
        ([[1, 3]], "proven: are not the first units that were counted"),
        ([[3, 9]], TOO_MANY),
        ([[3, 10**30]], TOO_MANY),
    ],
)
def test_impossible_gaps_are_refused(gaps: list[list[int]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        from_fields(as_fields(WITH_GAP) | {"gaps": gaps})
    assert from_fields(as_fields(WITH_GAP)) == WITH_GAP


@pytest.mark.parametrize("units", [[0, 1, 2, 3], [0, 1, 2, 5, 6], range(7)])
def test_proven_units_beyond_a_gap_are_refused(units: list[int]) -> None:
    fields = as_fields(Shard(JOB, tally=tally_of(JOB, units)))["tally"]
    with pytest.raises(ValueError, match="proven: are not the first units that were counted"):
        from_fields(as_fields(WITH_GAP) | {"proven": fields})


def test_proven_tally_that_exceeds_the_tally_is_refused() -> None:
    for proven in (Sums(2, 1900, 10**6), Sums(2, 1570, 10**6)):
        fields = as_fields(Shard(JOB, tally=Tally({1000: proven})))["tally"]
        tally = as_fields(Shard(JOB, tally=Tally({1000: Sums(3, 1800, 200_000)})))["tally"]
        with pytest.raises(ValueError, match=r"proven: has more than the tally|no such hits"):
            from_fields(as_fields(WITH_GAP) | {"tally": tally, "gaps": [], "proven": fields})


def test_gap_of_another_size_of_units_is_refused() -> None:
    """Trials have two blocks: units 1 and 3 are short."""
    job = Job(4, BLOCK + 1000, 0)
    shard = Shard(job, tally=tally_of(job, [0, 1, 3, 4]), gaps=(range(2, 3),))
    assert from_fields(as_fields(shard)) == shard
    with pytest.raises(ValueError, match=NOT_FIRST):
        from_fields(as_fields(shard) | {"gaps": [[1, 2]]})
