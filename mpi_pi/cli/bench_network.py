"""The section `network` of a benchmark on ranks; it is measured first, without any collective operation."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mpi_pi.bench import document, network
from mpi_pi.cli import console
from mpi_pi.cli.bench_options import BenchOptions
from mpi_pi.cli.exit_codes import FAILED
from mpi_pi.cli.output import Output
from mpi_pi.cli.progress_bar import PART, bar
from mpi_pi.cli.served import serve_root
from mpi_pi.mpi import runtime
from mpi_pi.mpi.command_loop import CommandLoop
from mpi_pi.report.bench import document as bench_report
from mpi_pi.storage import json_document

if TYPE_CHECKING:
    from mpi4py import MPI

PARTS = ("all", "latency")
"""Parts of a benchmark that have this section."""


def measure(options: BenchOptions, comm: "MPI.Intracomm", output: Output | None) -> dict[str, Any] | None:
    """Return the section on rank 0. All ranks call this function; without `output` nothing is measured.

    If messages do not get through between some ranks, rank 0 names these, writes what has been measured, and
    ends the job.
    """
    actions = network.actions(comm)
    if comm.rank > 0:
        serve_root(comm, actions)
        return None
    loop = CommandLoop(comm, actions)
    section = None
    if output:
        with bar(options.progress, 1, desc="network", bar_format=PART) as show:
            section = network.conduct(loop, comm.size, options.pairs, options.full, show)
        if network.silent_links(section):
            _give_up(options, comm, loop.problems, output, section)
    loop.end()
    return section


def _give_up(
    options: BenchOptions,
    comm: "MPI.Intracomm",
    problems: Mapping[int, str],
    output: Output,
    section: dict[str, Any],
) -> None:
    """Name the ranks that do not reach each other, write what has been measured, and end the job."""
    for text in network.silence(section, problems):
        console.error(text)
    hosts = {host for link in section["links"] for host in link["hosts"]}
    made = document.new(options.full, "none", runtime.library_name(), hosts, comm.size)
    made["network"] = section
    # mpirun may not forward output that is printed just before an abort.
    tables = functools.partial(bench_report.blocks, made, whole=True)
    output.put(bench_report.blocks(made), json_document.dumps(made), through_mpirun=False, tables=tables)
    runtime.abort(comm, FAILED)
