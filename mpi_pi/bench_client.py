"""`mpi-pi bench` where no launcher has started it: it starts one, for what needs ranks and for whole jobs."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

from mpi_pi import benchmark, console, job_bench
from mpi_pi.benchmark import Benchmark
from mpi_pi.files import CannotWrite
from mpi_pi.output import Output
from mpi_pi.progress import PART, bar
from mpi_pi.statuses import BAD_USAGE, FAILED, VERIFIED

MOST_SECONDS = 3600
"""However slow the machine is."""


def bench(args: argparse.Namespace) -> int:
    """Measure; the exit status."""
    try:
        launcher = args.launcher or job_bench.default_launcher()
        with Output(args.json) as output:
            made = benchmark.new(args.full) if args.part == "job" else _on_ranks(args, launcher)
            if args.part in ("all", "job"):
                with bar(args.progress, 1, desc="job", bar_format=PART) as show:
                    made["jobs"] = job_bench.measure(launcher, args.full, show, args.cache)
            return VERIFIED if output.put(benchmark.text(made), benchmark.as_json(made)) else FAILED
    except CannotWrite as error:
        console.error(str(error))
        return BAD_USAGE
    except job_bench.Failed as error:
        console.error(str(error))
        return FAILED


def _on_ranks(args: argparse.Namespace, launcher: Sequence[str]) -> Benchmark:
    """What the ranks measure that the launcher starts. Raises job_bench.Failed."""
    command = [*launcher, sys.executable, "-m", "mpi_pi", "bench", args.part, "--json", "-"]
    command += ["--progress", args.progress]
    command += [option for option in ("--full", "--oversubscribe") if getattr(args, option[2:])]
    command += ["--cache", args.cache] if args.cache else []
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
        )
    except OSError as error:
        raise job_bench.Failed(f"argument --launcher: {launcher[0]!r}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise job_bench.Failed(f"{' '.join(launcher)}: has not come to an end in an hour") from error
    if ended.returncode:
        raise job_bench.Failed(f"{' '.join(launcher)}: ended with status {ended.returncode}, see above")
    made: Benchmark = json.loads(ended.stdout[ended.stdout.index("{") :])
    return made
