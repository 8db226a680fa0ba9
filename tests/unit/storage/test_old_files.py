"""Files that an earlier version of the program has written, and which are still read."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_pi.bench import document as bench_document
from mpi_pi.kernel import loader
from mpi_pi.model.job import Job
from mpi_pi.report import sources
from mpi_pi.storage import checkpoint, result_file
from mpi_pi.storage import merge as merging
from mpi_pi.storage.trial_log import Trials
from support.launching import TESTS

BEFORE = TESTS / "data" / "before"
JOB = Job(300, 200_000, 7)


@pytest.fixture(scope="module")
def hits() -> NDArray[np.int64]:
    return loader.load("numpy").count(JOB, range(JOB.units))


def test_results(hits: NDArray[np.int64]) -> None:
    run = result_file.read(str(BEFORE / "run.json"))
    assert run.job == JOB
    assert run.tally.hits == hits.sum()
    assert sum(row.hits for row in run.ranks) == hits.sum()
    assert run.verified


def test_shards(hits: NDArray[np.int64]) -> None:
    whole = merging.merge([str(BEFORE / f"shard{index}.json") for index in (1, 2)])
    assert whole.job == JOB
    assert whole.tally.hits == hits.sum()
    assert whole.verified


def test_trial_log(hits: NDArray[np.int64]) -> None:
    (log,) = sources.read([str(BEFORE / "trials.csv")])
    assert isinstance(log.content, Trials)
    assert log.content.hits.tolist() == hits.tolist()


def test_checkpoint() -> None:
    part = checkpoint.load(BEFORE / "checkpoint")
    assert part is not None
    assert part.job == Job(3000, 100_000, 9)
    counted = loader.load("numpy").count(part.job, range(part.tally.units))
    assert part.tally.units == 148
    assert part.tally.hits == counted.sum()


def test_partial_results() -> None:
    run = result_file.read(str(BEFORE / "partial.json"))
    counted = loader.load("numpy").count(run.job, range(148))
    assert run.shard.tally.hits == counted.sum()
    assert run.partial


def test_benchmark() -> None:
    document = bench_document.read(str(BEFORE / "bench.json"))
    assert document["noise"]["rows"]
