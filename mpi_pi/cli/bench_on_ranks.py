"""`mpi-pi bench` on the ranks that a launcher has started."""

import contextlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpi_pi.bench import document, kernel, noise, rank_sweep, rounds
from mpi_pi.bench.document import Benchmark
from mpi_pi.bench.rank_groups import RankGroups
from mpi_pi.cli import console
from mpi_pi.cli.bench_options import BenchOptions
from mpi_pi.cli.exit_codes import BAD_USAGE, FAILED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.cli.progress_bar import PART, bar
from mpi_pi.kernel.loader import Kernel
from mpi_pi.mpi.heartbeat import HeartbeatTimeout
from mpi_pi.parallel import run as parallel
from mpi_pi.report.bench import document as bench_report
from mpi_pi.storage.atomic_file import OutputError
from mpi_pi.system import launch_env

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.mpi.heartbeat import Heartbeat

Progress = Callable[[float], object]


def _kernel(groups: RankGroups, kernel_: Kernel, full: bool, progress: Progress) -> dict[str, Any]:
    """Measure on rank 0, while the others sleep, for their core may be the same."""
    return groups.call_on_root(lambda: kernel.measure(kernel_, full, progress)) or {}


MEASURES: dict[str, tuple[str, Callable[[RankGroups, Kernel, bool, Progress], dict[str, Any]]]] = {
    "noise": ("noise", noise.measure),
    "kernel": ("kernel", _kernel),
    "scaling": ("scaling", rank_sweep.measure),
    "latency": ("round", rounds.measure),
}
"""By the part that is asked for: the section of the document, and the function that measures it."""


def bench(options: BenchOptions, comm: "MPI.Intracomm", heartbeat: "Heartbeat") -> int:
    """Measure on all ranks together; return the exit status, on rank 0. Raises CollectiveError."""
    parallel.require_identical(comm, options.common)
    with contextlib.ExitStack() as open_files:
        output, refusal = _open_output(options, open_files) if comm.rank == 0 else (None, "")
        refusal = comm.bcast(refusal)
        if refusal:
            console.error(refusal)
            return BAD_USAGE
        try:
            made = _measure(options, comm, heartbeat)
        except HeartbeatTimeout as silence:  # on the ranks that have noticed it
            console.complain(str(silence))
            raise
        if output is None:
            return VERIFIED
        return VERIFIED if output.put(bench_report.blocks(made), document.as_json(made)) else FAILED


def _open_output(options: BenchOptions, open_files: contextlib.ExitStack) -> tuple[Output | None, str]:
    """Return where the results go, or why nothing is to be measured; on rank 0."""
    if options.part == "job":
        return None, "bench job starts mpirun itself: call it without; --launcher 'mpirun -n 4' says how"
    if options.launcher:
        launcher = shlex.join(options.launcher)
        return None, f"argument --launcher: {launcher!r}: not on ranks that are there already"
    if options.on_ranks and not launch_env.started():
        return None, "argument --launcher: has started no ranks that find each other"
    try:
        return open_files.enter_context(Output(options.json)), ""
    except OutputError as error:
        return None, str(error)


def _measure(options: BenchOptions, comm: "MPI.Intracomm", heartbeat: "Heartbeat") -> Benchmark:
    """Measure all parts that are asked for; return the document, on rank 0."""
    cache = Path(options.cache) if options.cache else None
    loaded = parallel.load_kernel(comm, "auto", cache, console.note)
    for text in parallel.unique_by_rank(comm, loaded.warning):
        console.warning(text)
    made: Benchmark = {}
    progress = options.progress if comm.rank == 0 else "off"
    with RankGroups(comm, heartbeat, options.oversubscribe) as groups:
        if comm.rank == 0:
            library, hosts = parallel.library_name(), set(groups.hosts)
            made = document.new(options.full, loaded.label, library, hosts, comm.size)
        for part in MEASURES if options.part == "all" else [options.part]:
            section, measure = MEASURES[part]
            with bar(progress, 1, desc=part, bar_format=PART) as show:
                made[section] = measure(groups, loaded, options.full, show)
    return made
