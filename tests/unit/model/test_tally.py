"""Tallies against sums over the units, in Python's integers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.model import goodness
from mpi_pi.model.binomial import centre
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.model.tally import Sums, Tally
from mpi_pi.parallel import messages

sizes = st.sampled_from([1, 1000, BLOCK, BLOCK + 1, 3 * BLOCK - 1])


@st.composite
def counted(draw: st.DrawFn) -> tuple[Job, range, list[int]]:
    job = Job(trials=draw(st.integers(1, 6)), points=draw(sizes), seed=0)
    start = draw(st.integers(0, job.units))
    units = range(start, draw(st.integers(start, job.units)))
    return job, units, [draw(st.integers(0, job.unit_points(unit))) for unit in units]


@given(counted())
def test_tally_has_sums_over_its_units(some: tuple[Job, range, list[int]]) -> None:
    job, units, hits = some
    result = Tally.of(job, units, np.array(hits, np.int64))
    assert (result.units, result.points, result.hits) == (len(units), job.points_in(units), sum(hits))
    for points, sums in result.by_size.items():
        of_size = [h for u, h in zip(units, hits, strict=True) if job.unit_points(u) == points]
        expected = sum((h - centre(points)) ** 2 for h in of_size)
        assert sums[:3] == (len(of_size), sum(of_size), expected)
        if points == job.unit_points(0):
            assert list(sums.bins) == goodness.counts(points, np.array(of_size, np.int64))
        else:
            assert not sums.bins


@given(counted(), st.data())
def test_tallies_of_parts_add_up_to_that_of_the_whole(
    some: tuple[Job, range, list[int]], data: st.DataObject
) -> None:
    job, units, hits = some
    cut = data.draw(st.integers(0, len(units)))
    parts = [
        Tally.of(job, units[:cut], np.array(hits[:cut], np.int64)),
        Tally.of(job, units[cut:], np.array(hits[cut:], np.int64)),
    ]
    assert sum(parts, Tally()) == Tally.of(job, units, np.array(hits, np.int64))


@given(counted())
def test_unpack_undoes_pack(some: tuple[Job, range, list[int]]) -> None:
    job, units, hits = some
    one = Tally.of(job, units, np.array(hits, np.int64))
    packed = messages.pack(job, one)
    assert messages.unpack(job, packed) == one
    assert messages.unpack(job, [2 * number for number in packed]) == one + one


def test_units_without_bins_are_added_to_those_with() -> None:
    """A run that resumes a checkpoint of an old program adds such units."""
    binned = Tally.of(Job(3, 1000, 0), range(3), np.array([700, 785, 800]))
    total = Tally({1000: Sums(2, 1570, 0)}) + binned
    assert total.by_size[1000].units == 5
    assert sum(total.by_size[1000].bins) == 3
    assert binned + Tally({1000: Sums(2, 1570, 0)}) == total


def test_totals_beyond_64_bits_are_exact() -> None:
    part = Tally({BLOCK: Sums(2**60, BLOCK * 2**60, 2**100)})
    total = sum([part] * 3, Tally())
    assert total.points == 3 * 2**86
    assert total.hits == 3 * 2**86
    assert total.by_size[BLOCK].squares == 3 * 2**100


def test_centre_is_close_to_the_expected_hits() -> None:
    for points in (1, 10**5, BLOCK):
        assert abs(centre(points) - points * np.pi / 4) < 7
