"""`mpi-pi bench` outside of a launcher: it starts one, for the parts that need ranks and for whole jobs."""

import argparse
import contextlib
import json
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mpi_pi.bench import document, jobs, kernel
from mpi_pi.bench.document import Benchmark
from mpi_pi.bench.launched import capture, default_launcher
from mpi_pi.cli import console
from mpi_pi.cli.bench_options import BenchOptions
from mpi_pi.cli.exit_codes import FAILED, SIGNALLED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.cli.progress_bar import PART, bar
from mpi_pi.errors import RunError
from mpi_pi.formatting import kernel_label
from mpi_pi.kernel import loader
from mpi_pi.report.bench import document as bench_report

MAX_SECONDS = 3600.0
"""For all parts that need ranks, however slow the machine is."""


class Terminated(KeyboardInterrupt):
    """A signal to end this process, which has to end what it has started first."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def execute(args: argparse.Namespace) -> int:
    """Measure, print and write; return the exit status. Raises MpiPiError."""
    options = BenchOptions.of(args)
    try:
        with _raising_terminated(), Output(options.json) as output:
            made, failed = _measure(options)
            put = output.put(bench_report.blocks(made), document.as_json(made)) if made else False
            return VERIFIED if put and not failed else FAILED
    except KeyboardInterrupt as interrupt:
        console.error("interrupted: nothing is written")
        return SIGNALLED + (interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT)


def _measure(options: BenchOptions) -> tuple[Benchmark | None, bool]:
    """Return what could be measured, if anything, and whether something has failed, which is then printed."""
    made: Benchmark | None = None
    try:
        launcher = options.launcher or default_launcher()
        if options.part == "kernel" and not options.launcher:
            return _measure_kernel(options), False
        if options.part != "job":
            made = _measure_on_ranks(options, launcher)
        if options.part in ("all", "job"):
            made = _measure_jobs(made, options, launcher)
    except (RunError, loader.KernelUnavailable) as error:
        console.error(str(error))
        return made, True
    return made, False


def _measure_kernel(options: BenchOptions) -> Benchmark:
    """Measure one core, which needs neither ranks nor MPI. Raises KernelUnavailable and RunError."""
    loaded = loader.load("auto", Path(options.cache) if options.cache else None, console.note)
    if loaded.warning:
        console.warning(loaded.warning)
    with bar(options.progress, 1, desc="kernel", bar_format=PART) as show:
        made = document.new(options.full, loaded.label)
        return made | {"kernel": kernel.measure(loaded, options.full, show)}


def _measure_on_ranks(options: BenchOptions, launcher: Sequence[str]) -> Benchmark:
    """Return the document of ranks that the launcher starts. Raises RunError."""
    command = [*launcher, sys.executable, "-m", "mpi_pi", *options.on_ranks_arguments]
    printed, _ = capture(command, MAX_SECONDS, show_errors=True)
    try:
        made: Benchmark = json.loads(printed)
    except ValueError as error:
        raise RunError(f"{shlex.join(launcher)}: what it prints is not that of one mpi-pi") from error
    if not isinstance(made, dict) or made.get("kind") != document.KIND:
        raise RunError(f"{shlex.join(launcher)}: what it prints is no benchmark of mpi-pi")
    return made


def _measure_jobs(made: Benchmark | None, options: BenchOptions, launcher: Sequence[str]) -> Benchmark:
    """Add whole jobs to a document, or to a new one on the machine that they have run on. Raises RunError."""
    with bar(options.progress, 1, desc="job", bar_format=PART) as show:
        section, first = jobs.measure(launcher, options.full, show, options.cache)
    if made is None:
        ranks = first["ranks"]
        made = document.new(
            options.full,
            kernel_label(ranks[0]["kernel"], ranks[0]["kernel_target"]),
            first["mpi_library"],
            {row["host"] for row in ranks},
            len(ranks),
        )
    return made | {"jobs": section}


@contextlib.contextmanager
def _raising_terminated() -> Iterator[None]:
    """Raise Terminated on SIGTERM and SIGHUP, so that what has been started is ended, too."""

    def terminated(number: int, _frame: Any) -> NoReturn:
        raise Terminated(number)

    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # by nohup
    numbers = [signal.SIGTERM, *([] if ignored else [signal.SIGHUP])]
    before = [signal.signal(number, terminated) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
