"""`mpi-pi bench` outside a launcher: it starts one, for the parts that need ranks and for whole jobs."""

import argparse
import functools
import json
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mpi_pi.bench import document, jobs, kernel
from mpi_pi.bench.document import Benchmark
from mpi_pi.bench.launched import CommandFailed, capture, default_launcher
from mpi_pi.cli import console, parser
from mpi_pi.cli.bench_options import BenchOptions
from mpi_pi.cli.exit_codes import FAILED, SIGNALLED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.cli.progress_bar import PART, bar
from mpi_pi.errors import RunError
from mpi_pi.formatting import kernel_label
from mpi_pi.kernel import loader
from mpi_pi.report.bench import document as bench_report
from mpi_pi.storage import json_document
from mpi_pi.system.process import handled

MAX_SECONDS = 3600.0
"""Time limit for all parts that need ranks."""


def execute(args: argparse.Namespace) -> int:
    """Measure, write and print; return the exit status. Raises MpiPiError."""
    options = parser.typed(BenchOptions, args)
    try:
        with (
            handled((signal.SIGTERM, signal.SIGHUP), _interrupt),
            Output(options.json, options.csv) as output,
        ):
            made, failed = _measure(options)
            put = made and output.put(
                bench_report.blocks(made),
                json_document.dumps(made),
                tables=functools.partial(bench_report.blocks, made, whole=True),
            )
            return VERIFIED if put and not failed else FAILED
    except KeyboardInterrupt as interrupt:
        console.error("interrupted: nothing is written")
        number: int = interrupt.args[0] if interrupt.args else signal.SIGINT
        return SIGNALLED + number


def _measure(options: BenchOptions) -> tuple[Benchmark | None, bool]:
    """Return the document, if anything could be measured, and whether an error was printed."""
    made: Benchmark | None = None
    try:
        launcher = options.launcher or default_launcher()
        if options.part == "kernel" and not options.launcher:
            return _measure_kernel(options), False
        if options.part != "job":
            made, failed = _measure_on_ranks(options, launcher)
            if failed:
                return made, True
        if options.part in ("all", "job"):
            made = _measure_jobs(made, options, launcher)
    except (RunError, loader.KernelUnavailable) as error:
        console.error(str(error))
        return made, True
    return made, False


def _measure_kernel(options: BenchOptions) -> Benchmark:
    """Measure one core, without MPI. Raises KernelUnavailable and RunError."""
    loaded = loader.load("auto", options.cache, console.note)
    if loaded.warning:
        console.warning(loaded.warning)
    with bar(options.progress, 1, desc="kernel", bar_format=PART) as show:
        made = document.new(options.full, loaded.label)
        return made | {"kernel": kernel.measure(loaded, options.full, show)}


def _measure_on_ranks(options: BenchOptions, launcher: Sequence[str]) -> tuple[Benchmark, bool]:
    """Return the document that mpi-pi prints on ranks of the launcher, and whether these have failed.

    They fail with a document if some do not reach each other. Raises RunError.
    """
    command = [*launcher, sys.executable, "-m", "mpi_pi", *options.on_ranks_arguments]
    problem = None
    try:
        printed, _ = capture(command, MAX_SECONDS, show_errors=True)
    except CommandFailed as error:
        printed, problem = error.printed, error
    try:
        made: Benchmark = json.loads(printed)
    except ValueError as error:
        raise problem or RunError(
            f"{shlex.join(launcher)}: what it prints is not that of one mpi-pi"
        ) from error
    if not isinstance(made, dict) or made.get("kind") != document.KIND:
        raise problem or RunError(f"{shlex.join(launcher)}: what it prints is no benchmark of mpi-pi")
    if problem:
        console.error(str(problem))
    return made, problem is not None


def _measure_jobs(made: Benchmark | None, options: BenchOptions, launcher: Sequence[str]) -> Benchmark:
    """Return the document, or a new one for the hosts of the jobs, with measured jobs. Raises RunError."""
    with bar(options.progress, 1, desc="job", bar_format=PART) as show:
        section, first = jobs.measure(launcher, options.full, show, options.cache)
    if made is None:
        ranks = first["ranks"]
        label = kernel_label(ranks[0]["kernel"], ranks[0]["kernel_target"])
        hosts = {row["host"] for row in ranks}
        made = document.new(options.full, label, first["mpi_library"], hosts, len(ranks))
    return made | {"jobs": section}


def _interrupt(number: int, _frame: Any) -> NoReturn:
    """Raise an exception that ends the processes started by this one."""
    raise KeyboardInterrupt(number)
