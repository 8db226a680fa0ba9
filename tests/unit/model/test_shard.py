"""Shards of jobs against plain lists, and their JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.model.binomial import centre
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Sums, Tally
from mpi_pi.storage import schema
from mpi_pi.storage.fields import as_fields, from_fields
from mpi_pi.storage.json_document import DocumentError

sizes = st.sampled_from([1, 1000, BLOCK, BLOCK + 1, 3 * BLOCK - 1])
jobs = st.builds(Job, trials=st.integers(1, 12), points=sizes, seed=st.integers(0, 2**200))
amounts = st.floats(0, 1e9)
spents = st.builds(Usage, st.integers(0, 99), st.integers(0, 10**6), *[amounts] * 5)


@st.composite
def parts(draw: st.DrawFn) -> Shard:
    """Draw a shard of a job whose first units have been counted, with any hits that are possible."""
    job = draw(jobs)
    of = draw(st.integers(1, job.units))
    index = draw(st.integers(1, of))
    units = job.shard(index, of)
    done = range(units.start, draw(st.integers(units.start, units.stop)))
    hits = [draw(st.integers(0, job.unit_points(unit))) for unit in done]
    return Shard(job, index, of, Tally.of(job, done, np.array(hits, np.int64)), draw(spents))


@given(jobs, st.data())
def test_shards_tile_the_job_evenly(job: Job, data: st.DataObject) -> None:
    of = data.draw(st.integers(1, job.units))
    shards = [list(job.shard(index, of)) for index in range(1, of + 1)]
    assert [unit for shard in shards for unit in shard] == list(range(job.units))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize(
    ("index", "of", "why"), [(0, 3, "1/3 to 3/3"), (4, 3, "1/3"), (1, 11, "only 10 units")]
)
def test_shard_out_of_range_is_refused(index: int, of: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Job(10, 1000, 0).shard(index, of)


@given(parts())
def test_shard_is_read_as_it_was_written(part: Shard) -> None:
    assert from_fields(json.loads(json.dumps(as_fields(part)))) == part


@given(parts())
def test_remaining_units_follow_counted_units(part: Shard) -> None:
    assert part.tally.units + sum(map(len, part.remaining)) == len(part.units)
    assert part.tally.points + sum(map(part.job.points_in, part.remaining)) == part.points
    assert part.complete == (part.tally.points == part.points)


UNIT = Sums(1, 785, 0)


@pytest.mark.parametrize(
    ("tally", "why"),
    [
        (Tally({1000: Sums(11, 8635, 0)}), "more units are counted than there are"),
        (Tally({999: UNIT}), "not those of the job"),
        (Tally({1000: UNIT, 7: UNIT}), "not those of the job"),
        (Tally({1000: Sums(1, 785, 0, (1,))}), "no such bins"),
        (Tally({1000: Sums(1, 785, 0, (2, *[0] * 15))}), "no such bins"),
        (Tally({1000: Sums(1, 1001, 46656)}), "no such hits"),
        (Tally({1000: Sums(1, -1, 786 * 786)}), "no such hits"),
        (Tally({1000: Sums(1, 786, 0)}), "no such hits"),  # one off the centre, and no square
        (Tally({1000: Sums(1, 785, 10**9)}), "no such hits"),
    ],
)
@pytest.mark.parametrize("contiguous", [True, False])
def test_impossible_tally_is_refused(tally: Tally, why: str, contiguous: bool) -> None:
    fields = as_fields(Shard(Job(10, 1000, 0), tally=tally))
    with pytest.raises(ValueError, match=why):
        from_fields(fields, contiguous)


def test_negative_number_of_units_in_a_bin_is_refused() -> None:
    """The schema refuses it, which is checked before the members are read."""
    tally = Tally({1000: Sums(1, 785, 0, (2, -1, *[0] * 14))})
    head = {"program": "mpi-pi", "kind": "checkpoint", "format": 2, "version": "", "checksum": ""}
    document = head | as_fields(Shard(Job(10, 1000, 0), tally=tally))
    with pytest.raises(DocumentError, match=r"bins\[1\]: "):
        schema.check(json.loads(json.dumps(document)), "checkpoint")


def test_units_that_are_not_the_first_ones_are_those_of_a_run_that_was_cut_short() -> None:
    """The first and the third unit are counted, of a job whose trials have two blocks."""
    job = Job(2, BLOCK + 1000, 0)
    hits = centre(BLOCK)
    fields = as_fields(Shard(job, tally=Tally({BLOCK: Sums(2, 2 * hits, 0)})))
    assert from_fields(fields, contiguous=False).tally.units == 2
    with pytest.raises(ValueError, match="not the first ones"):
        from_fields(fields)


def test_tally_without_bins_is_read() -> None:
    """Programs before schema 5 wrote no bins."""
    fields = as_fields(Shard(Job(10, 1000, 0), tally=Tally({1000: UNIT})))
    del fields["tally"][0]["bins"]
    assert from_fields(fields).tally.by_size[1000] == UNIT


def test_another_stream_version_is_refused() -> None:
    fields = as_fields(Shard(Job(10, 1000, 0))) | {"stream_version": 99}
    with pytest.raises(ValueError, match="has stream version 99, not 1"):
        from_fields(fields)


@given(spents, spents)
def test_usage_of_runs_adds_up(a: Usage, b: Usage) -> None:
    assert (a + b).runs == a.runs + b.runs
    assert (a + b).real_seconds == a.real_seconds + b.real_seconds
    assert a + Usage() == a
