"""HTML reports on results that are made up."""

import functools

import numpy as np

from mpi_pi.kernel import loader
from mpi_pi.model.result import Result
from mpi_pi.report import html as html_report
from mpi_pi.report.sources import Item
from mpi_pi.storage.trial_log import Trials
from support import runs
from support.benchmarks import benchmark


def with_log(result: Result) -> list[Item]:
    """Return a result and its trial log."""
    hits = loader.load().count(result.job, range(result.job.units))
    return [Item("result.json", result), Item("trials.csv", Trials(result.job.points, np.asarray(hits)))]


@functools.cache
def small() -> str:
    """Return the report on a run on two hosts, its trial log, and a benchmark of one host."""
    return html_report.page([*with_log(runs.run(2)), Item("bench.json", benchmark())])


@functools.cache
def large() -> str:
    """Return the report on a run and a benchmark with 1000 hosts."""
    return html_report.page(
        [Item("result.json", runs.run(1000, rounds=2)), Item("bench.json", benchmark(4000, 1000))]
    )
