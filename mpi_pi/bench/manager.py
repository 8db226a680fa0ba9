"""Time of rank 0's manager in a round: it records the results of simulated ranks, without MPI."""

import time
from typing import Any

import numpy as np

from mpi_pi.bench.document import Progress
from mpi_pi.bench.median import MedianCI
from mpi_pi.model.binomial import centre
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard
from mpi_pi.parallel.manager import Manager
from mpi_pi.parallel.messages import WORK_RESULT_COLUMNS, Assignment, WorkResult

QUICK_TURNS, FULL_TURNS = 5, 9
RANKS = (1000, 10_000, 100_000)


def measure(full: bool, progress: Progress) -> list[dict[str, Any]]:
    """Return the member `planner` of a benchmark's `round`: seconds of `Manager.next`, by ranks."""
    rows = []
    for done, ranks in enumerate(RANKS, start=1):
        seconds = _next_seconds(ranks, FULL_TURNS if full else QUICK_TURNS)
        rows.append({"ranks": ranks, "seconds": seconds.as_fields()})
        progress(done / len(RANKS))
    return rows


def _next_seconds(ranks: int, turns: int) -> MedianCI:
    """Time rounds in which each rank counts a little faster or slower than before."""
    job = Job(trials=10**12, points=10**6, seed=1)
    manager = Manager(Shard(job), [1] * ranks)
    assignments, seconds = manager.begin(), []
    random = np.random.default_rng(1)
    for _ in range(turns + 1):
        units = assignments[:, Assignment.STOP] - assignments[:, Assignment.START]
        results = np.zeros((ranks, WORK_RESULT_COLUMNS), np.int64)
        results[:, WorkResult.UNITS] = results[:, WorkResult.TALLY] = units
        results[:, WorkResult.POINTS] = units * job.points
        results[:, WorkResult.COUNT_NS] = results[:, WorkResult.POINTS] * random.uniform(0.25, 0.26, ranks)
        results[:, WorkResult.TALLY + 1] = units * centre(job.points)
        results[:, WorkResult.TALLY + 2] = units * job.points // 6
        start = time.perf_counter()
        assignments = manager.next(results)
        seconds.append(time.perf_counter() - start)
    return MedianCI.of(seconds[1:])  # no rates were known in the first round, so it is unlike the others
