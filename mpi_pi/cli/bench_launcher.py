"""`mpi-pi bench` where no launcher has started it: it starts one, for what needs ranks and for whole jobs."""

import argparse
import contextlib
import json
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mpi_pi.bench import document as bench_document
from mpi_pi.bench import jobs as job_bench
from mpi_pi.bench import kernel as kernel_bench
from mpi_pi.bench.document import Benchmark
from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import BAD_USAGE, FAILED, SIGNALLED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.cli.progress_bar import PART, bar
from mpi_pi.formatting import kernel_label
from mpi_pi.kernel import loader
from mpi_pi.report.bench import document as bench_report
from mpi_pi.storage.atomic_file import OutputError

MAX_SECONDS = 3600.0
"""For all parts that need ranks, however slow the machine is."""


class Terminated(KeyboardInterrupt):
    """The process was told to end; what it has started has to be ended first."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def bench(args: argparse.Namespace) -> int:
    """Measure; the exit status."""
    try:
        with _ended_in_good_order(), Output(args.json) as output:
            made, failed = _measured(args)
            well = output.put(bench_report.text(made), bench_document.as_json(made)) if made else False
            return VERIFIED if well and not failed else FAILED
    except OutputError as error:
        console.error(str(error))
        return BAD_USAGE
    except KeyboardInterrupt as interrupt:
        console.error("interrupted: nothing is written")
        return SIGNALLED + (interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT)


def _measured(args: argparse.Namespace) -> tuple[Benchmark | None, bool]:
    """What could be measured, if anything, and whether something has failed, which then has been said."""
    made: Benchmark | None = None
    try:
        launcher = args.launcher or job_bench.default_launcher()
        if args.part == "kernel" and not args.launcher:
            return _kernel(args), False
        if args.part != "job":
            made = _on_ranks(args, launcher)
        if args.part in ("all", "job"):
            made = _with_jobs(made, args, launcher)
    except (job_bench.JobFailed, loader.KernelUnavailable, ArithmeticError) as error:
        console.error(str(error))
        return made, True
    return made, False


def _kernel(args: argparse.Namespace) -> Benchmark:
    """One core needs no ranks, and no MPI. Raises KernelUnavailable and ArithmeticError."""
    kernel = loader.load("auto", Path(args.cache) if args.cache else None, console.note)
    if kernel.warning:
        console.warning(kernel.warning)
    with bar(args.progress, 1, desc="kernel", bar_format=PART) as show:
        return bench_document.new(args.full, kernel.label) | {
            "kernel": kernel_bench.measure(kernel, args.full, show)
        }


def _on_ranks(args: argparse.Namespace, launcher: Sequence[str]) -> Benchmark:
    """What the ranks measure that the launcher starts. Raises job_bench.JobFailed."""
    command = [*launcher, sys.executable, "-m", "mpi_pi", "bench", args.part, "--on-ranks", "--json", "-"]
    command += ["--progress", args.progress]
    command += [f"--{option}" for option in ("full", "oversubscribe") if getattr(args, option)]
    command += ["--cache", args.cache] if args.cache else []
    printed = job_bench.output(command, MAX_SECONDS, errors=True)
    try:
        made: Benchmark = json.loads(printed)
    except ValueError as error:
        raise job_bench.JobFailed(
            f"{shlex.join(launcher)}: what it prints is not that of one mpi-pi"
        ) from error
    if not isinstance(made, dict) or made.get("kind") != bench_document.KIND:
        raise job_bench.JobFailed(f"{shlex.join(launcher)}: what it prints is no benchmark of mpi-pi")
    return made


def _with_jobs(made: Benchmark | None, args: argparse.Namespace, launcher: Sequence[str]) -> Benchmark:
    """With the whole jobs; without any other part, those say who took part. Raises job_bench.JobFailed."""
    with bar(args.progress, 1, desc="job", bar_format=PART) as show:
        measured = job_bench.measure(launcher, args.full, show, args.cache)
    if made is None:
        ranks = measured.document["ranks"]
        made = bench_document.new(
            args.full,
            kernel_label(ranks[0]["kernel"], ranks[0]["kernel_target"]),
            measured.document["mpi_library"],
            {row["host"] for row in ranks},
            len(ranks),
        )
    return made | {"jobs": measured.jobs}


@contextlib.contextmanager
def _ended_in_good_order() -> Iterator[None]:
    """Meanwhile SIGTERM and SIGHUP, too, give what has been started the chance to end."""

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
