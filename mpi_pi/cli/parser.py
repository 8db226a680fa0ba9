"""The command line. Needs nothing but the standard library, so that --help and errors come at once."""

import argparse
import functools
import os
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from mpi_pi.cli import quantities
from mpi_pi.errors import UserError
from mpi_pi.model.job import Job
from mpi_pi.version import __version__

DESCRIPTION = """\
Estimate pi by throwing points at a dartboard: M trials of N points each, on all ranks of an MPI job.
The same seed gives the same hits, to the last one, on any number of ranks and on any machine."""

EXAMPLES = """\
numbers: 100000, 100_000, 1e5, 100k, 10M and 2G are understood; times: 90, 90s, 55m, 1.5h, 2d and 1:30:00

exit status: 0 verified, 1 failed while running, 2 bad usage, 3 finished but not verified; stopped before the
end: 75 with a checkpoint (run it again), without one 128 + the signal's number, or 124 by --time-limit

  mpirun -n 2 mpi-pi run -i 100000 -n 1000
  mpirun -hostfile hostfiles/octapi.hosts mpi-pi run --ask
  srun --mpi=pmix mpi-pi run -n 1M -i 10k --seed 1 --json result.json       (MPICH: --mpi=pmi2)
  srun --mpi=pmix mpi-pi run -n 1G -i 1M --checkpoint pi.ckpt --time-limit slurm"""

CHECK_DESCRIPTION = """\
Examine every host of the job, and say whether the cluster is fit: what the hosts are, what is installed
there, how fast they count and how well they are connected. Of all that is wrong it says what to do."""

CHECK_EPILOG = """\
exit status: 0 fit, 1 not

  mpirun -hostfile hostfiles/octapi.hosts mpi-pi check"""

MERGE_DESCRIPTION = """\
Put together what the shards of a job have counted: what mpi-pi run --shard K/N --json FILE wrote of each."""

DEPLOY_DESCRIPTION = """\
Install the environment that this command belongs to on every host of a hostfile, over ssh, at the same path.
The hosts need Python 3.11 or newer and sshd, and no way to the internet."""

CHECK_HOSTS_DESCRIPTION = """\
See from here, without MPI, whether a job could start on every host of a hostfile: name, ssh, program, MPI and
TCP ports. Of all that is wrong it says what to do."""

BENCH_DESCRIPTION = """\
How fast each core is, how the job scales, and how that compares with what could have been used instead.
Each measurement is repeated, and has an interval; what the machine's noise has drowned is said to be lost."""

BENCH_EPILOG = """\
Started by itself it starts mpirun where ranks are needed, on all cores of this machine or as --launcher says.
Started by mpirun or srun it measures on those ranks, all but the job, which is timed from mpirun to prompt.

  mpi-pi bench all --json bench.json
  mpi-pi bench all --launcher 'mpirun -hostfile hostfiles/octapi.hosts'
  mpirun -hostfile hostfiles/octapi.hosts mpi-pi bench scaling --full"""

BENCH_PARTS = {
    "all": "all of these",
    "noise": "how evenly the cores work",
    "kernel": "one core, beside what people write",
    "job": "the Flame job from mpirun to prompt, and in full the OctaPi job, beside the published runs",
    "scaling": "strong and weak scaling over 1, 2, 4 … ranks, or hosts if there are several",
    "latency": "what a round costs, and from how many ranks on it would matter",
}

COMPARE_DESCRIPTION = """\
What became faster or slower from one benchmark to another, beyond the noise of both."""

COMPARE_EPILOG = """\
exit status: 0 nothing is slower, 1 something is (or nothing could be printed), 2 not comparable

  mpi-pi bench compare before.json after.json"""

PLOT_DESCRIPTION = """\
Draw what files hold. A result of mpi-pi run --json: dartboard, convergence, and what each rank or host did
when; with the run's trial log a histogram of its trials. A benchmark: scaling, kernels, jobs, rounds."""

REPORT_DESCRIPTION = """\
Make one HTML page of results, trial logs and benchmarks: their tables and pictures. It needs no network."""

WANT_NUMBERS = (
    "-n",
    "--trials",
    "-i",
    "--points",
    "--seed",
    "--threads",
    "--time-limit",
    "--checkpoint-every",
)

PICTURES = (".png", ".svg", ".pdf")
PAGES = (".html", ".htm")

T = TypeVar("T")


class UsageError(UserError):
    """An error of the command line, in one line."""


class _Help(argparse.HelpFormatter):
    """Help whose paragraphs fit the terminal; lines that are indented, which are examples, stay lines."""

    def _format_usage(self, *arguments: Any) -> str:
        usage = super()._format_usage(*arguments)
        if max(map(len, usage.splitlines())) <= self._width:
            return usage
        # An option and its value stay together.
        words = re.sub(r"\[[^]]*\]", lambda option: option[0].replace(" ", "\0"), " ".join(usage.split()))
        lines = textwrap.wrap(words, self._width, subsequent_indent="  ", break_long_words=False)
        return "\n".join(lines).replace("\0", " ") + "\n\n"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        wrap = functools.partial(textwrap.wrap, break_long_words=False, break_on_hyphens=False)
        lines: list[str] = []
        for paragraph in text.split("\n\n"):
            if paragraph.startswith(" "):
                for line in paragraph.split("\n"):
                    first, *more = wrap(line, width - 2, subsequent_indent=" " * 6)
                    lines += [f"{before} \\" for before in [first, *more][:-1]] + [[first, *more][-1]]
            else:
                lines += wrap(paragraph, width)
            lines.append("")
        return "\n".join(lines[:-1])


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing and exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(" ".join(message.split()))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; raises UsageError, or SystemExit(0) once help or version has been printed."""
    args = _parser().parse_args(_with_negative_numbers(argv))
    if args.command == "run":
        _check_run(args)
    elif args.command == "merge":
        _check_merge(args)
    elif args.command in ("plot", "report"):
        _check_output(args)
    for name in ("json", "trial_log", "cache", "checkpoint"):
        given = getattr(args, name, None)
        if given == "" or (given == "-" and name in ("cache", "checkpoint")):
            raise UsageError(f"argument --{name.replace('_', '-')}: {given!r}: a name is needed")
    return args


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="mpi-pi", description=DESCRIPTION, formatter_class=_Help, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"mpi-pi {__version__}")
    parser.set_defaults(handler=None, handler_on_ranks=None, on_ranks=False, needs_numpy=False)
    # With the name, which argparse would otherwise find out by formatting a usage, for 3 ms.
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog="mpi-pi")
    add = functools.partial(_subparser, commands)
    run = add("run", "estimate pi (mpi-pi run --help tells how)", DESCRIPTION, EXAMPLES)
    run.set_defaults(handler_on_ranks="mpi_pi.cli.run")
    _add_run_arguments(run)
    check = add("check", "examine the hosts of a cluster", CHECK_DESCRIPTION, CHECK_EPILOG)
    check.add_argument("--json", metavar="FILE", help="write what was found as JSON; -: to standard output")
    check.set_defaults(handler_on_ranks="mpi_pi.cli.check")
    _add_cache_argument(check)
    merge = add("merge", "put the results of shards together", MERGE_DESCRIPTION)
    merge.add_argument("files", metavar="FILE", nargs="+", help="results of all shards, in any order")
    merge.add_argument("--json", metavar="FILE", help="write the whole as JSON; -: to standard output")
    merge.add_argument("--per-rank", action="store_true", help="add a row for each rank of each shard")
    merge.set_defaults(handler="mpi_pi.cli.merge", needs_numpy=True)
    _add_bench(add("bench", "how fast, and how well it scales", BENCH_DESCRIPTION, BENCH_EPILOG))
    for name, summary, description, output in (
        ("plot", "draw pictures of results and benchmarks", PLOT_DESCRIPTION, "picture.png|svg|pdf"),
        ("report", "make an HTML page of results and benchmarks", REPORT_DESCRIPTION, "report.html"),
    ):
        made = add(name, summary, description)
        made.add_argument("files", metavar="FILE", nargs="+", help="results, trial logs, benchmarks")
        made.add_argument("-o", "--output", metavar="FILE", required=True, help=f"what to write: {output}")
        made.set_defaults(handler="mpi_pi.cli.plots", needs_numpy=True)
    for name, summary, description in (
        ("check-hosts", "see whether a job could start on all hosts", CHECK_HOSTS_DESCRIPTION),
        ("deploy", "install this environment on all hosts", DEPLOY_DESCRIPTION),
    ):
        on_hosts = add(name, summary, description)
        on_hosts.add_argument("hostfile", metavar="HOSTFILE", help="hosts, as for mpirun")
        on_hosts.add_argument(
            "--mpirun",
            metavar="PROGRAM",
            default="",
            help="that is to read it, of several; default: the environment's own, or else mpirun",
        )
        on_hosts.set_defaults(handler="mpi_pi.cli.cluster")
        if name == "check-hosts":  # for make: whether mpirun can read the file, and nothing more
            on_hosts.add_argument("--file-alone", action="store_true", help=argparse.SUPPRESS)
    return parser


def _subparser(
    commands: "argparse._SubParsersAction[Any]",
    name: str,
    summary: str,
    description: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    return parser


def _add_bench(bench: argparse.ArgumentParser) -> None:
    parts = bench.add_subparsers(
        dest="part", required=True, metavar="PART", title="parts", prog="mpi-pi bench"
    )
    for name, summary in BENCH_PARTS.items():
        part = _subparser(parts, name, summary, BENCH_DESCRIPTION, BENCH_EPILOG)
        part.add_argument("--full", action="store_true", help="take a few minutes")
        part.add_argument("--json", metavar="FILE", help="write all that was measured; -: to standard output")
        part.add_argument("--launcher", metavar="COMMAND", type=_command, help="such as 'mpirun -n 4'")
        part.set_defaults(oversubscribe=False)
        if name in ("all", "scaling", "latency"):
            part.add_argument("--oversubscribe", action="store_true", help="even more ranks than cores")
        # Said to the ranks that it starts, which might otherwise not know that they are some, and start more.
        part.add_argument("--on-ranks", action="store_true", help=argparse.SUPPRESS)
        part.set_defaults(handler="mpi_pi.cli.bench_launcher", handler_on_ranks="mpi_pi.cli.bench_on_ranks")
        _add_progress_argument(part)
        _add_cache_argument(part)
    compare = _subparser(parts, "compare", "two benchmarks", COMPARE_DESCRIPTION, COMPARE_EPILOG)
    compare.add_argument("old", metavar="OLD", help="what mpi-pi bench --json wrote before")
    compare.add_argument("new", metavar="NEW", help="and after")
    compare.set_defaults(handler="mpi_pi.cli.bench")


def _add_progress_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--progress", choices=("auto", "on", "off"), default="auto", help="default: on a terminal"
    )


def _add_run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("-n", "--trials", metavar="M", type=_trials, help="trials")
    run.add_argument("-i", "--points", metavar="N", type=_points, help="points in each trial")
    run.add_argument("--ask", action="store_true", help="ask for the points and trials not given")
    run.add_argument("--seed", metavar="S", type=_seed, help="integer >= 0 of any size; default: random")
    run.add_argument("--json", metavar="FILE", help="write the results as JSON; -: to standard output")
    run.add_argument("--per-rank", action="store_true", help="add a row for each rank to the report")
    run.add_argument(
        "--trial-log", metavar="FILE", help="write trial,points,hits of all; -: to standard output"
    )
    _add_progress_argument(run)
    run.add_argument(
        "--kernel", choices=("auto", "numba", "numpy"), default="auto", help="default: numba if it is there"
    )
    _add_cache_argument(run)
    run.add_argument(
        "--threads", metavar="T", type=_threads, help="of each rank; auto: its share of the cores; default: 1"
    )
    run.add_argument(
        "--shard", metavar="K/N", type=_shard, help="only the K-th of N shards; slurm: by array task"
    )
    run.add_argument(
        "--checkpoint", metavar="FILE", help="go on from there, and save there how far it has got"
    )
    run.add_argument("--checkpoint-every", metavar="TIME", type=_duration, help="default: 60s")
    run.add_argument("--restart", action="store_true", help="begin anew; the old checkpoint becomes FILE.1")
    run.add_argument(
        "--time-limit", metavar="TIME", type=_time_limit, help="stop then; slurm: before the job's own limit"
    )


def _add_cache_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache",
        metavar="DIR",
        help="folder for compiled code; default: $MPI_PI_CACHE, or a folder of yours in /var/tmp",
    )


def _check_run(args: argparse.Namespace) -> None:
    """Raise UsageError for arguments that do not go together."""
    for name, value in (("-n/--trials", args.trials), ("-i/--points", args.points)):
        if value is None and not args.ask:
            raise UsageError(f"argument {name} is required (or --ask)")
    files = {
        f"--{name.replace('_', '-')}": getattr(args, name) for name in ("json", "trial_log", "checkpoint")
    }
    seen: dict[str, str] = {}
    for option, file in files.items():
        place = os.path.realpath(file or "")
        if file and place in seen:
            raise UsageError(f"argument {option}: {file!r}: the same file as {seen[place]}")
        seen[place] = option
    if args.shard and args.seed is None:
        raise UsageError("argument --shard: needs --seed, for all shards to be of one job")
    for option, needed in (
        ("--restart", args.restart),
        ("--checkpoint-every", args.checkpoint_every is not None),
    ):
        if needed and not args.checkpoint:
            raise UsageError(f"argument {option}: needs --checkpoint")
    for option, other in (("--checkpoint", args.checkpoint), ("--shard", args.shard)):
        if args.trial_log and other:
            raise UsageError(f"argument --trial-log: not with {option}: it would not have all trials")


def _check_merge(args: argparse.Namespace) -> None:
    """Raise UsageError for an output that is one of the inputs."""
    if args.json and os.path.realpath(args.json) in map(os.path.realpath, args.files):
        raise UsageError(f"argument --json: {args.json!r}: is one of the files to be merged")


def _check_output(args: argparse.Namespace) -> None:
    """Raise UsageError for an output that has no name, is one of the inputs, or is of no known kind."""
    output = args.output
    kinds = PICTURES if args.command == "plot" else PAGES
    if not output.lower().endswith(kinds):
        raise UsageError(f"argument -o/--output: {output!r}: the name ends in none of {', '.join(kinds)}")
    if os.path.realpath(output) in map(os.path.realpath, args.files):
        raise UsageError(f"argument -o/--output: {output!r}: is one of the files to be read")


def _quoting(convert: Callable[[str], T], word: str | None = None) -> Callable[[str], T | str]:
    """The conversion as argparse likes it, with the offending value in the message; `word` stays as it is."""

    def converted(text: str) -> T | str:
        try:
            return text if text == word else convert(text)
        except ValueError as error:
            shown = text if len(text) <= 40 else text[:40] + "…"
            raise argparse.ArgumentTypeError(f"{shown!r}: {error}") from error

    return converted


_trials = _quoting(quantities.trials)
_points = _quoting(quantities.points)
_seed = _quoting(lambda text: Job(trials=1, points=1, seed=quantities.quantity(text)).seed)
_threads = _quoting(quantities.threads, "auto")
_command = _quoting(quantities.command)
_shard = _quoting(quantities.shard, "slurm")
_duration = _quoting(quantities.duration)
_time_limit = _quoting(quantities.duration, "slurm")


def _with_negative_numbers(argv: Sequence[str]) -> list[str]:
    """`-n -1e5` as `-n=-1e5`: argparse would take the number for an option, and not name it."""
    result: list[str] = []
    for argument in argv:
        wants_number = result and result[-1] in WANT_NUMBERS
        if wants_number and re.match(r"-([\d._]|[a-z]{2})", argument, re.IGNORECASE):
            result[-1] += "=" + argument
        else:
            result.append(argument)
    return result
