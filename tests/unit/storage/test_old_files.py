"""Files that earlier versions of the program have written."""

import json

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_pi.bench import document as bench_document
from mpi_pi.kernel import loader
from mpi_pi.model.job import Job
from mpi_pi.model.tally import Tally
from mpi_pi.report import sources
from mpi_pi.storage import checkpoint, result_file
from mpi_pi.storage import merge as merging
from mpi_pi.storage.trial_log import Trials
from support.launching import TESTS
from support.schemas import RUN

BEFORE = TESTS / "data" / "before"
JOB = Job(300, 200_000, 7)


@pytest.fixture(scope="module")
def hits() -> NDArray[np.int64]:
    return loader.load("numpy").count(JOB, range(JOB.units))


def test_old_result_is_read(hits: NDArray[np.int64]) -> None:
    run = result_file.read(str(BEFORE / "run.json"))
    assert run.job == JOB
    assert run.tally.hits == hits.sum()
    assert sum(row.hits for row in run.ranks) == hits.sum()
    assert run.verified
    assert run.audit is None


def test_result_of_schema_7_is_read(hits: NDArray[np.int64]) -> None:
    for name, shards in (("run7", 0), ("merged7", 2)):
        result = result_file.read(str(BEFORE / f"{name}.json"))
        assert result.tally.hits == hits.sum()
        assert result.verified
        assert (result.origin, len(result.shards)) == (None, shards)
        again = json.loads(result_file.as_json(result))
        jsonschema.validate(again, RUN)
        assert result_file.of_document(again).ranks == result.ranks


def test_old_shards_are_merged(hits: NDArray[np.int64]) -> None:
    whole = merging.merge([str(BEFORE / f"shard{index}.json") for index in (1, 2)])
    assert whole.job == JOB
    assert whole.tally.hits == hits.sum()
    assert whole.verified


def test_old_trial_log_is_read(hits: NDArray[np.int64]) -> None:
    (log,) = sources.read([str(BEFORE / "trials.csv")])
    assert isinstance(log.content, Trials)
    assert log.content.hits.tolist() == hits.tolist()


def test_old_checkpoint_is_read() -> None:
    part = checkpoint.load(BEFORE / "checkpoint")
    assert part is not None
    assert part.job == Job(3000, 100_000, 9)
    counted = loader.load("numpy").count(part.job, range(part.tally.units))
    assert part.tally.units == 148
    assert part.tally.hits == counted.sum()
    assert (part.gaps, part.proven, part.usage.recounted_units) == ((), Tally(), 0)
    assert part.unproven == (range(148),)
    assert checkpoint.loads(checkpoint.dumps(part).encode()) == part


def test_old_partial_result_is_read() -> None:
    run = result_file.read(str(BEFORE / "partial.json"))
    counted = loader.load("numpy").count(run.job, range(148))
    assert run.shard.tally.hits == counted.sum()
    assert run.partial


def test_old_benchmark_is_read() -> None:
    document = bench_document.read(str(BEFORE / "bench.json"))
    assert document["noise"]["rows"]
