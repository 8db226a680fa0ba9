"""Parser of the command line, on the standard library alone: --help and errors appear at once."""

import argparse
import functools
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from mpi_pi.cli import argument_checks, common_options, help_options, help_texts
from mpi_pi.cli import argument_types as types
from mpi_pi.errors import UserError
from mpi_pi.system.scheduler import ARRAYS, SCHEDULERS
from mpi_pi.version import __version__

NUMERIC = (
    "-n",
    "--trials",
    "-i",
    "--points",
    "--seed",
    "--threads",
    "--time-limit",
    "--checkpoint-every",
    "--patience",
    "--audit",
)
"""Options whose value may begin with a minus sign, for a better error."""

T = TypeVar("T")

_wrap = functools.partial(textwrap.wrap, break_long_words=False, break_on_hyphens=False)


class _Help(argparse.HelpFormatter):
    """Formatter that folds paragraphs to the terminal, and breaks long examples with a backslash."""

    def _format_usage(self, *arguments: Any) -> str:
        usage = super()._format_usage(*arguments)
        if max(map(len, usage.splitlines())) <= self._width:
            return usage
        # Without breaks between an option and its value.
        words = re.sub(r"\[[^]]*\]", lambda option: option[0].replace(" ", "\0"), " ".join(usage.split()))
        lines = _wrap(words, self._width, subsequent_indent="  ")
        return "\n".join(lines).replace("\0", " ") + "\n\n"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        folded = []
        for paragraph in text.split("\n\n"):
            lines = _wrap(paragraph, width)
            if paragraph.startswith(" "):
                commands = (
                    _wrap(line, width - 2, subsequent_indent=" " * 6) for line in paragraph.split("\n")
                )
                lines = [" \\\n".join(command) for command in commands]
            folded.append("\n".join(lines))
        return "\n\n".join(folded)


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing and exiting."""

    def __init__(self, **settings: Any) -> None:
        # argparse makes a formatter for each argument; to find out its width would import shutil, in 4 ms.
        super().__init__(formatter_class=functools.partial(_Help, width=80), allow_abbrev=False, **settings)

    def format_help(self) -> str:
        self.formatter_class = _Help
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        raise UserError(" ".join(message.split()))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments, with the names of the modules that handle the command.

    `handler` is for a command without ranks, `handler_on_ranks` for one on ranks. Raises UserError with
    one line, or SystemExit(0) after help or version have been printed.
    """
    words: list[str] | None = None
    if argv[:1] == ["keep-running"] and "--" in argv:  # then follows another command
        argv, words = argv[: argv.index("--")], [*argv[argv.index("--") + 1 :]]
    parser = build(argv[0] if argv else "")
    args = parser.parse_args(_with_negative_numbers(argv), argparse.Namespace(argv=argv, words=words))
    if args.command in argument_checks.CHECKS:
        argument_checks.CHECKS[args.command](args)
    return args


def typed(options: type[T], args: argparse.Namespace) -> T:
    """Return the parsed arguments that a class of options has as fields."""
    return options(**{name: getattr(args, name) for name in options.__annotations__})


def build(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line; if a command is given, without the arguments of all others."""
    parser = _Parser(prog="mpi-pi", description=help_texts.DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"mpi-pi {__version__}")
    parser.set_defaults(handler=None, handler_on_ranks=None, on_ranks=False)
    parser.set_defaults(each_process=False, needs_numpy=False)
    # With `prog`, for which argparse would otherwise format a usage, in 3 ms.
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog="mpi-pi")
    for name, (add_arguments, handlers) in _COMMANDS.items():
        one = _add_command(commands, name, help_texts.COMMANDS[name], **handlers)
        if command in (None, name):
            add_arguments(one)
    return parser


def _add_command(
    commands: Any, name: str, texts: tuple[str, str, str | None], **defaults: Any
) -> argparse.ArgumentParser:
    """Add a command with the `texts` of `help_texts` to the action `commands`, and return its parser."""
    summary, description, epilog = texts
    command: argparse.ArgumentParser
    command = commands.add_parser(name, help=summary, description=description, epilog=epilog)
    command.set_defaults(**defaults)
    return command


class _Node(argparse.Action):
    """The option --node, which makes another command of `check`: one without MPI, for each process."""

    def __call__(self, _: Any, namespace: argparse.Namespace, *__: Any) -> None:
        namespace.handler, namespace.handler_on_ranks = "mpi_pi.cli.check_node", None
        namespace.each_process = True


def _add_check(check: argparse.ArgumentParser) -> None:
    text = "examine this node alone, without MPI, within 10 s, and spare the work of others on it"
    check.add_argument("--node", action=_Node, nargs=0, help=text)
    common_options.add_json(check, "the findings")
    common_options.add_csv(check)
    text = "earlier check of these hosts, written by --json: what has become worse is a fault"
    check.add_argument("--baseline", metavar="FILE", type=types.file, help=text)
    common_options.add_cache(check)


def _add_burn_in(burn_in: argparse.ArgumentParser) -> None:
    burn_in.add_argument("time", metavar="TIME", type=types.burn_in_time, help="such as 10m or 24h")
    text = "share of the units that another rank counts again; default: 100%%"
    burn_in.add_argument("--audit", metavar="SHARE", type=types.share, default=1.0, help=text)
    common_options.add_seed(burn_in)
    common_options.add_threads(burn_in)
    common_options.add_json(burn_in, "findings, rates and samples")
    common_options.add_csv(burn_in)
    common_options.add_progress(burn_in)
    common_options.add_cache(burn_in)
    common_options.add_patience(burn_in)


def _add_merge(merge: argparse.ArgumentParser) -> None:
    merge.add_argument("files", metavar="FILE", nargs="+", help="results of all shards, in any order")
    common_options.add_json(merge, "the merged result")
    common_options.add_csv(merge)
    merge.add_argument("--per-rank", action="store_true", help="add a row for each rank of each shard")


def _add_plots(output: str, command: argparse.ArgumentParser) -> None:
    command.add_argument("files", metavar="FILE", nargs="+", help="results, trial logs, benchmarks, burn-ins")
    command.add_argument("-o", "--output", metavar="FILE", required=True, help=f"file to write: {output}")


def _add_hostfile(command: argparse.ArgumentParser) -> None:
    command.add_argument("hostfile", metavar="HOSTFILE", help="hosts, in the format of mpirun")
    mpirun = "mpirun whose format it is; default: that of the environment, or else of the machine"
    command.add_argument("--mpirun", metavar="PROGRAM", default="", help=mpirun)


def _add_check_hosts(command: argparse.ArgumentParser) -> None:
    _add_hostfile(command)
    # For the Makefile: only check that mpirun can read the file.
    command.add_argument("--file-alone", action="store_true", help=argparse.SUPPRESS)


def _add_wheelhouse(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    text = "default: mpi-pi-wheelhouse-VERSION.tar"
    add("-o", "--output", metavar="FILE", type=types.file, help=text)
    pythons, machines = ["3.11", "3.12", "3.13"], ["aarch64", "x86_64"]
    text = f"versions of Python; default: {' '.join(pythons)}"
    add("--python", metavar="VERSION", nargs="+", type=types.python_version, default=pythons, help=text)
    text = "kinds of machines; default: both"
    add("--machine", nargs="+", choices=machines, default=machines, help=text)


def _add_keep_running(keep: argparse.ArgumentParser) -> None:
    keep.usage = "mpi-pi keep-running [-h] [--patience TIME] [--starts N] -- COMMAND"
    text = "silence of rank 0 after which it is started again; default: 90s"
    keep.add_argument("--patience", metavar="TIME", type=types.patience, help=text)
    text = "give up after so many starts in a row without progress; default: 5"
    keep.add_argument("--starts", metavar="N", type=types.starts, default=5, help=text)


def _add_bench(bench: argparse.ArgumentParser) -> None:
    names = {"dest": "part", "metavar": "PART", "title": "parts"}
    parts = bench.add_subparsers(required=True, prog="mpi-pi bench", **names)
    for name, summary in help_texts.BENCH_PARTS.items():
        part = _add_command(parts, name, (summary, *help_texts.BENCH[1:]), **_BENCH)
        part.set_defaults(oversubscribe=False, pairs=False)
        part.add_argument("--full", action="store_true", help="measure for a few minutes")
        common_options.add_json(part, "all measurements")
        common_options.add_csv(part)
        part.add_argument("--launcher", metavar="COMMAND", type=types.command, help="such as 'mpirun -n 4'")
        if name in ("all", "scaling", "latency"):
            part.add_argument("--oversubscribe", action="store_true", help="allow more ranks than cores")
        if name == "latency":
            part.add_argument("--pairs", action="store_true", help="measure all pairs of hosts, too")
        # For ranks started by bench: without it, ranks that do not know of each other would start more.
        part.add_argument("--on-ranks", action="store_true", help=argparse.SUPPRESS)
        common_options.add_progress(part)
        common_options.add_cache(part)
    compare = _add_command(parts, "compare", help_texts.COMPARE, handler="mpi_pi.cli.bench")
    compare.add_argument("old", metavar="OLD", help="earlier benchmark, written by mpi-pi bench --json")
    compare.add_argument("new", metavar="NEW", help="later benchmark")


def _add_run(run: argparse.ArgumentParser) -> None:
    add = run.add_argument
    add("-n", "--trials", metavar="M", type=types.trials, help="number of trials")
    add("-i", "--points", metavar="N", type=types.points, help="points of each trial")
    add("--ask", action="store_true", help="ask for points and trials that are not given")
    common_options.add_seed(run)
    common_options.add_json(run, "the result")
    common_options.add_csv(run)
    add("--per-rank", action="store_true", help="add a row for each rank to the report")
    text = "write a line trial,points,hits for each trial; -: to standard output"
    add("--trial-log", metavar="FILE", type=types.output, help=text)
    common_options.add_progress(run)
    add("--kernel", choices=("auto", "numba", "numpy"), default="auto", help="default: numba if installed")
    common_options.add_cache(run)
    common_options.add_threads(run)
    text = f"count only the K-th of N shards; {_words(ARRAYS)}: by task of the job array"
    add("--shard", metavar="K/N", type=types.shard, help=text)
    text = "file to resume from, and to save progress in"
    add("--checkpoint", metavar="FILE", type=types.file, help=text)
    text = "interval of saving; default: 60s"
    add("--checkpoint-every", metavar="TIME", type=types.duration, help=text)
    add("--restart", action="store_true", help="begin anew; the old checkpoint becomes FILE.1")
    text = f"stop after this time; {_words(SCHEDULERS)}: before the limit of the job"
    add("--time-limit", metavar="TIME", type=types.time_limit, help=text)
    text = "share of the units, such as 1%%, that a second rank counts, to find cores that count wrongly"
    add("--audit", metavar="SHARE", type=types.share, default=0.0, help=text)
    common_options.add_patience(run, ", or lost to a job that survives it")
    _add_supervision(run)


def _words(schedulers: Sequence[str]) -> str:
    return ", ".join(schedulers[:-1]) + " or " + schedulers[-1]


def _add_supervision(run: argparse.ArgumentParser) -> None:
    """Add what keep-running gives to the ranks that it starts."""
    run.add_argument("--supervised", metavar="TOKEN", help=argparse.SUPPRESS)
    run.add_argument("--resume-state", metavar="TEXT", help=argparse.SUPPRESS)


def _with_negative_numbers(argv: Sequence[str]) -> list[str]:
    """Return `-n -1e5` as `-n=-1e5`, since argparse would take the negative number for an option."""
    result: list[str] = []
    for argument in argv:
        if result and result[-1] in NUMERIC and re.match(r"-([\d._]|[a-zA-Z]{2})", argument):
            result[-1] += "=" + argument
        else:
            result.append(argument)
    return result


_PLOTS = {"handler": "mpi_pi.cli.plots", "needs_numpy": True}
_HOSTS = {"handler": "mpi_pi.cli.cluster"}
_BENCH = {"handler": "mpi_pi.cli.bench_launcher", "handler_on_ranks": "mpi_pi.cli.bench_on_ranks"}

_COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], dict[str, Any]]] = {
    "run": (_add_run, {"handler_on_ranks": "mpi_pi.cli.run"}),
    "check": (_add_check, {"handler_on_ranks": "mpi_pi.cli.check"}),
    "burn-in": (_add_burn_in, {"handler_on_ranks": "mpi_pi.cli.burn_in"}),
    "merge": (_add_merge, {"handler": "mpi_pi.cli.merge", "needs_numpy": True}),
    "bench": (_add_bench, {}),
    "plot": (functools.partial(_add_plots, "picture.png|svg|pdf"), _PLOTS),
    "report": (functools.partial(_add_plots, "report.html"), _PLOTS),
    "keep-running": (_add_keep_running, {"handler": "mpi_pi.cli.keep_running"}),
    "check-hosts": (_add_check_hosts, _HOSTS),
    "deploy": (_add_hostfile, _HOSTS),
    "wheelhouse": (_add_wheelhouse, {"handler": "mpi_pi.cli.wheelhouse"}),
    "examples": (help_options.add_examples, {"handler": "mpi_pi.cli.examples"}),
    "help": (help_options.add_help, {"handler": "mpi_pi.cli.help"}),
}
