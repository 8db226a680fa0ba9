"""One `mpi-pi bench` on the ranks that a launcher has started: from the arguments to the exit status."""

import argparse
import contextlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpi_pi.bench import document as bench_document
from mpi_pi.bench import kernel as kernel_bench
from mpi_pi.bench import noise, rank_sweep
from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import BAD_USAGE, FAILED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.cli.progress_bar import PART, bar
from mpi_pi.mpi.heartbeat import HeartbeatTimeout
from mpi_pi.parallel import run as parallel
from mpi_pi.report.bench import document as bench_report
from mpi_pi.storage.atomic_file import OutputError
from mpi_pi.system import launch_env

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.kernel.loader import Kernel
    from mpi_pi.mpi.heartbeat import Heartbeat

Show = Callable[[float], object]

PLACES = {"noise": "noise", "kernel": "kernel", "scaling": "scaling", "latency": "round"}
"""The parts that are measured on ranks, and where the document has them."""


def bench(args: argparse.Namespace, comm: "MPI.Intracomm", alive: "Heartbeat") -> int:
    """Measure, on all ranks together; the exit status, on rank 0. Raises parallel.CollectiveError."""
    parallel.require_identical(
        comm, f"bench {args.part}{' --full' * args.full}{' --oversubscribe' * args.oversubscribe}"
    )
    with contextlib.ExitStack() as open_files:
        output, refusal = _prepared(args, open_files) if comm.rank == 0 else (None, "")
        refusal = comm.bcast(refusal)
        if refusal:
            console.error(refusal)
            return BAD_USAGE
        try:
            made = _measured(args, comm, alive)
        except HeartbeatTimeout as silence:  # on the ranks that have noticed it
            console.complain(str(silence))
            raise
        if output is None:
            return VERIFIED
        return VERIFIED if output.put(bench_report.text(made), bench_document.as_json(made)) else FAILED


def _prepared(args: argparse.Namespace, open_files: contextlib.ExitStack) -> tuple[Output | None, str]:
    """Where the results go, on rank 0; or why it shall not be."""
    if args.part == "job":
        return None, "bench job starts mpirun itself: call it without; --launcher 'mpirun -n 4' says how"
    if args.launcher:
        return (
            None,
            f"argument --launcher: {shlex.join(args.launcher)!r}: not on ranks that are there already",
        )
    if args.on_ranks and not launch_env.started():
        return None, "argument --launcher: has started no ranks that find each other"
    try:
        return open_files.enter_context(Output(args.json)), ""
    except OutputError as error:
        return None, str(error)


def _measured(
    args: argparse.Namespace, comm: "MPI.Intracomm", alive: "Heartbeat"
) -> bench_document.Benchmark:
    """All parts that are wanted; the document, on rank 0."""
    kernel = parallel.load_kernel(comm, "auto", Path(args.cache) if args.cache else None, console.note)
    for text in parallel.unique_by_rank(comm, kernel.warning):
        console.warning(text)
    made: bench_document.Benchmark = {}
    progress = args.progress if comm.rank == 0 else "off"
    with rank_sweep.measuring(comm, alive, args.oversubscribe) as everyone:
        if comm.rank == 0:
            made = bench_document.new(
                args.full, kernel.label, parallel.library_name(), set(everyone.hosts), comm.size
            )
        for part in PLACES if args.part == "all" else [args.part]:
            with bar(progress, 1, desc=part, bar_format=PART) as show:
                made[PLACES[part]] = _part(part, everyone, kernel, args.full, show)
    return made


def _part(
    part: str, everyone: rank_sweep.Everyone, kernel: "Kernel", full: bool, show: Show
) -> dict[str, Any]:
    if part == "noise":
        return noise.measure(everyone.comm, kernel, full, show, everyone.alive.check)
    if part == "scaling":
        return rank_sweep.scaling_section(everyone, kernel, full, show)
    if part == "latency":
        return rank_sweep.round_section(everyone, kernel, full, show)
    # The others sleep meanwhile, for theirs may be the same core.
    return everyone.on_rank_0(lambda: kernel_bench.measure(kernel, full, show)) or {}
