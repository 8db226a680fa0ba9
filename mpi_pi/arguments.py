"""The command line. Needs nothing but the standard library, so that --help and errors come at once."""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from mpi_pi import __version__
from mpi_pi.job import Job

DESCRIPTION = """\
Estimate pi by throwing points at a dartboard: M trials of N points each, on all ranks of an MPI job.
The same seed gives the same hits, to the last one, on any number of ranks and on any machine."""

EXAMPLES = """\
numbers: 100000, 100_000, 1e5, 100k, 10M and 2G are understood
exit status: 0 verified, 1 failed while running, 2 bad usage, 3 finished but not verified, 130 interrupted

  mpirun -n 4 mpi-pi run -i 100000 -n 1000
  mpirun -hostfile hostfiles/octapi.hosts mpi-pi run --ask
  srun mpi-pi run -n 1M -i 10k --seed 1 --json result.json"""

MOST_DIGITS = 4000
"""Python itself reads and writes integers up to 4300 digits."""


class UsageError(Exception):
    """Something is wrong with what the user asked for; says what in a line."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing and exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(" ".join(message.split()))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; raises UsageError, or SystemExit(0) once help or version has been printed."""
    args = _parser().parse_args(_with_negative_numbers(argv))
    _check_run(args)
    return args


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="mpi-pi", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"mpi-pi {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="estimate pi (mpi-pi run --help tells how)",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    run.add_argument("-n", "--trials", metavar="M", type=_trials, help="trials")
    run.add_argument("-i", "--points", metavar="N", type=_points, help="points in each trial")
    run.add_argument("--ask", action="store_true", help="ask for the points and trials not given")
    run.add_argument("--seed", metavar="S", type=_seed, help="integer >= 0 of any size; default: random")
    run.add_argument("--json", metavar="FILE", help="write the results as JSON; -: to standard output")
    run.add_argument("--per-rank", action="store_true", help="add a row for each rank to the report")
    run.add_argument("--trial-log", metavar="FILE", help="write trial,points,hits for every trial")
    run.add_argument(
        "--progress", choices=("auto", "on", "off"), default="auto", help="default: on a terminal"
    )
    run.add_argument(
        "--kernel", choices=("auto", "numba", "numpy"), default="auto", help="default: numba if it is there"
    )
    run.add_argument(
        "--cache",
        metavar="DIR",
        help="folder for compiled code; default: $MPI_PI_CACHE, or a folder of yours in /var/tmp",
    )
    return parser


def _check_run(args: argparse.Namespace) -> None:
    """Raise UsageError for arguments that do not go together."""
    for name, value in (("-n/--trials", args.trials), ("-i/--points", args.points)):
        if value is None and not args.ask:
            raise UsageError(f"argument {name} is required (or --ask)")
    for name in ("json", "trial_log", "cache"):
        if getattr(args, name) == "":
            raise UsageError(f"argument --{name.replace('_', '-')}: '': a name is needed")
    if args.json and args.trial_log and os.path.realpath(args.json) == os.path.realpath(args.trial_log):
        raise UsageError(f"argument --trial-log: {args.trial_log!r}: the same file as --json")


def quantity(text: str) -> int:
    """A whole number as people write it: 100000, 100_000, 1e5, 1.5M, 2G. Raises ValueError."""
    match = re.fullmatch(
        r"([+-]?)(\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE]([+-]?\d{1,9}))?([kKmMgGtT]?)", text, re.ASCII
    )
    if not match or "__" in text or "_." in text or re.search(r"_\D", text + " "):
        raise ValueError("not a number")
    sign, digits, exponent, suffix = match.groups()
    whole, _, fraction = digits.replace("_", "").partition(".")
    zeros = int(exponent or 0) + 3 * " kmgt".index(suffix.lower() or " ") - len(fraction)
    if len(digits) + abs(zeros) > MOST_DIGITS:
        raise ValueError("too large" if zeros > 0 else "not a whole number")
    number, rest = int(sign + whole + fraction), 0
    if zeros < 0:
        number, rest = divmod(number, 10**-zeros)
    if rest:
        raise ValueError("not a whole number")
    return int(number * 10 ** max(zeros, 0))


def trials(text: str) -> int:
    """A number of trials. Raises ValueError."""
    return Job(trials=quantity(text), points=1, seed=0).trials


def points(text: str) -> int:
    """A number of points for each trial. Raises ValueError."""
    return Job(trials=1, points=quantity(text), seed=0).points


def _quoting(convert: Callable[[str], int]) -> Callable[[str], int]:
    """The conversion as argparse likes it, with the offending value in the message."""

    def converted(text: str) -> int:
        try:
            return convert(text)
        except ValueError as error:
            shown = text if len(text) <= 40 else text[:40] + "…"
            raise argparse.ArgumentTypeError(f"{shown!r}: {error}") from error

    return converted


_trials = _quoting(trials)
_points = _quoting(points)
_seed = _quoting(lambda text: Job(trials=1, points=1, seed=quantity(text)).seed)


def _with_negative_numbers(argv: Sequence[str]) -> list[str]:
    """`-n -1e5` as `-n=-1e5`: argparse would take the number for an option, and not name it."""
    result: list[str] = []
    for argument in argv:
        wants_number = result and result[-1] in ("-n", "--trials", "-i", "--points", "--seed")
        if wants_number and re.match(r"-([\d._]|[a-z]{2})", argument, re.IGNORECASE):
            result[-1] += "=" + argument
        else:
            result.append(argument)
    return result
