"""`mpi-pi bench` on the ranks that a launcher has started."""

import argparse
import contextlib
import functools
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mpi_pi.bench import document, kernel, noise, rank_sweep, rounds
from mpi_pi.bench.document import Benchmark, Progress
from mpi_pi.bench.rank_groups import RankGroups
from mpi_pi.cli import bench_network, console, parser
from mpi_pi.cli.bench_options import BenchOptions
from mpi_pi.cli.exit_codes import FAILED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.cli.progress_bar import PART, bar
from mpi_pi.cli.ranks import Ranks
from mpi_pi.errors import UserError
from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.mpi.collectives import call_on_all, call_on_root, gather, require_identical, unique_by_rank
from mpi_pi.mpi.runtime import library_name
from mpi_pi.report.bench import document as bench_report
from mpi_pi.storage import json_document
from mpi_pi.system import launch_env

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.mpi.heartbeat import Heartbeat


def _kernel(groups: RankGroups, kernel_: Kernel, full: bool, progress: Progress) -> dict[str, Any]:
    """Measure on rank 0, while the other ranks, which may share its core, sleep."""
    return groups.call_on((0,), lambda: kernel.measure(kernel_, full, progress)) or {}


MEASURES: dict[str, tuple[str, Callable[[RankGroups, Kernel, bool, Progress], dict[str, Any]]]] = {
    "noise": ("noise", noise.measure),
    "kernel": ("kernel", _kernel),
    "scaling": ("scaling", rank_sweep.measure),
    "latency": ("round", rounds.measure),
}
"""Section of the document and function that measures it, by name of the part."""


def execute(args: argparse.Namespace, ranks: Ranks) -> int:
    """Measure on all ranks; return the exit status on rank 0. Collective. Raises MpiPiError on all ranks."""
    options, comm = parser.typed(BenchOptions, args), ranks.comm
    with contextlib.ExitStack() as open_files:
        output: Output | None = None  # on rank 0
        problem: UserError | None = None
        try:
            output = _open_output(options, open_files) if comm.rank == 0 else None
        except UserError as error:
            problem = error
        network = None
        if options.part in bench_network.PARTS:  # before the first collective operation, which may hang
            network = bench_network.measure(options, comm, output)
        heartbeat = ranks.watch()
        require_identical(comm, options.common, heartbeat.check)
        call_on_root(comm, lambda: _raise(problem), heartbeat.check)
        made = _measure(options, comm, heartbeat) | ({"network": network} if network else {})
        if output is None:
            return VERIFIED
        tables = functools.partial(bench_report.blocks, made, whole=True)
        put = output.put(bench_report.blocks(made), json_document.dumps(made), tables=tables)
        return VERIFIED if put else FAILED


def _raise(problem: UserError | None) -> None:
    if problem:
        raise problem


def _open_output(options: BenchOptions, open_files: contextlib.ExitStack) -> Output:
    """Return the open output. Raises UserError for options that make no sense on ranks."""
    if options.part == "job":
        raise UserError("bench job starts mpirun itself: call it without; --launcher 'mpirun -n 4' says how")
    if options.launcher:
        launcher = shlex.join(options.launcher)
        raise UserError(f"argument --launcher: {launcher!r}: not on ranks that are there already")
    if options.on_ranks and not launch_env.started():
        raise UserError("argument --launcher: has started no ranks that find each other")
    return open_files.enter_context(Output(options.json, options.csv))


def _measure(options: BenchOptions, comm: "MPI.Intracomm", heartbeat: "Heartbeat") -> Benchmark:
    """Measure the requested parts, and return the document on rank 0."""
    loaded = call_on_all(comm, lambda: load("auto", options.cache, console.note), heartbeat.check)
    for text in unique_by_rank(gather(comm, loaded.warning, heartbeat.check) or []):
        console.warning(text)
    made: Benchmark = {}
    progress = options.progress if comm.rank == 0 else "off"
    with RankGroups(comm, heartbeat, options.oversubscribe) as groups:
        if comm.rank == 0:
            library, hosts = library_name(), set(groups.hosts)
            made = document.new(options.full, loaded.label, library, hosts, comm.size)
        for part in MEASURES if options.part == "all" else [options.part]:
            section, measure = MEASURES[part]
            with bar(progress, 1, desc=part, bar_format=PART) as show:
                made[section] = measure(groups, loaded, options.full, show)
    return made
