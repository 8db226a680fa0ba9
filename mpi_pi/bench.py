"""One `mpi-pi bench` on the ranks that a launcher has started: from the arguments to the exit status."""

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpi_pi import benchmark, console, kernel_bench, noise, parallel, ranks_bench
from mpi_pi.files import CannotWrite
from mpi_pi.output import Output
from mpi_pi.progress import PART, bar
from mpi_pi.pulse import Silence
from mpi_pi.statuses import BAD_USAGE, FAILED, VERIFIED

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.kernels import Kernel

Show = Callable[[float], object]

PLACES = {"noise": "noise", "kernel": "kernel", "scaling": "scaling", "latency": "round"}
"""The parts that are measured on ranks, and where the document has them."""


def bench(args: argparse.Namespace, comm: "MPI.Intracomm") -> int:
    """Measure, on all ranks together; the exit status, on rank 0. Raises parallel.Failure."""
    parallel.agree(comm, f"bench {args.part}{' --full' * args.full}{' --oversubscribe' * args.oversubscribe}")
    if args.part == "job":
        console.error("bench job starts mpirun itself: call it without; --launcher 'mpirun -n 4' says how")
        return BAD_USAGE
    with contextlib.ExitStack() as open_files:

        def opened() -> tuple[Output | None, str]:
            try:
                return open_files.enter_context(Output(args.json)), ""
            except CannotWrite as error:
                return None, str(error)

        output, refusal = opened() if comm.rank == 0 else (None, "")
        refusal = comm.bcast(refusal)
        if refusal:
            console.error(refusal)
            return BAD_USAGE
        try:
            made = _Bench(args, comm).measure()
        except Silence as silence:  # on the ranks that have noticed it
            console.complain(str(silence))
            raise
        if output is None:
            return VERIFIED
        return VERIFIED if output.put(benchmark.text(made), benchmark.as_json(made)) else FAILED


class _Bench:
    """A benchmark in the making, on all ranks."""

    def __init__(self, args: argparse.Namespace, comm: "MPI.Intracomm") -> None:
        self._args, self._comm = args, comm
        self._kernel: Kernel = parallel.load_kernel(comm, "auto", Path(args.cache) if args.cache else None)

    def measure(self) -> benchmark.Benchmark:
        """All parts that are wanted; the document, on rank 0."""
        hosts = len(set(self._comm.allgather(parallel.HOST)))
        made = benchmark.new(self._args.full, parallel.library_name(), hosts, self._comm.size)
        progress = self._args.progress if self._comm.rank == 0 else "off"
        for part in PLACES if self._args.part == "all" else [self._args.part]:
            with bar(progress, 1, desc=part, bar_format=PART) as show:
                made[PLACES[part]] = self._part(part, show)
        return made

    def _part(self, part: str, show: Show) -> dict[str, Any]:
        comm, kernel, full, oversubscribe = (
            self._comm,
            self._kernel,
            self._args.full,
            self._args.oversubscribe,
        )
        if part == "noise":
            return noise.measure(comm, kernel, full, show)
        if part == "scaling":
            return ranks_bench.scaling_section(comm, kernel, full, oversubscribe, show)
        if part == "latency":
            return ranks_bench.round_section(comm, kernel, full, oversubscribe, show)
        # The others sleep meanwhile, for theirs may be the same core.
        none: dict[str, Any] = {}
        return parallel.together(
            comm, lambda: kernel_bench.measure(kernel, full, show) if comm.rank == 0 else none
        )
