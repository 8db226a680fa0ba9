"""The command `mpi-pi`, up to its exit status.

Of an orderly end, good or bad, rank 0 speaks for the job: it prints, and its status is the job's. The other
ranks end with 0, because mpirun kills the rest of a job at the first status that is not, and rank 0 might
not have had its say by then.
"""

import argparse
import contextlib
import importlib
import io
import os
import platform
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from mpi_pi.cli import console, parser
from mpi_pi.cli.exit_codes import BAD_USAGE, FAILED, RUN_AGAIN, SIGNALLED, VERIFIED
from mpi_pi.cli.signals import Signals
from mpi_pi.errors import UserError
from mpi_pi.mpi import hydra, srun, time_limit
from mpi_pi.system import imports, launch_env

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.mpi.heartbeat import Heartbeat


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status of this rank."""
    console.prepare()
    status = _main(sys.argv[1:] if argv is None else argv)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if status != FAILED:
            console.error(f"standard output: {error.strerror}")
        status = FAILED
        # It would be tried again, and reported, at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def command() -> NoReturn:
    """The program `mpi-pi`.

    It ends without Python's own clean-up, which takes a tenth of a second for what ends with the process.
    """
    status = main()
    sys.stderr.flush()
    if runtime := sys.modules.get("mpi_pi.mpi.runtime"):
        runtime.leave(status)
    os._exit(status)


def _main(argv: Sequence[str]) -> int:
    help_text = io.StringIO()
    try:
        with contextlib.redirect_stdout(help_text):
            args = parser.parse(argv)
        if sys.stdout is None and not _writes_files(args):
            console.error("standard output is closed")
            return _without_mpi(FAILED)
        needs_ranks = args.command in ("run", "check") or (
            args.command == "bench" and args.part != "compare" and (args.on_ranks or launch_env.started())
        )
        if needs_ranks:
            return _run(args)
        # Of several ranks the first one alone does it.
        if launch_env.rank() != 0:
            return VERIFIED
        if args.command in ("merge", "plot", "report"):
            imports.require("numpy", "ndarray")
        return _WITHOUT_RANKS[args.command](args)
    except parser.UsageError as error:
        console.error(str(error))
        return _without_mpi(BAD_USAGE)
    except SystemExit:  # help or version: they appear once, not once a rank
        return VERIFIED if launch_env.rank() or console.said(help_text.getvalue(), verbatim=True) else FAILED
    except ImportError as error:
        return _not_imported(error)
    except KeyboardInterrupt:
        console.error("interrupted before anything was counted")
        return SIGNALLED + signal.SIGINT


def _without_mpi(status: int) -> int:
    """The status of a rank that ends before MPI has started, after rank 0 has said why."""
    if launch_env.rank() != 0:
        time.sleep(1)  # for rank 0 to say it first; should it have no reason to, this ends the job
    hydra.abort(status)
    return status


def _writes_files(args: argparse.Namespace) -> bool:
    """Whether something will be left of the command that nobody sees."""
    return any(getattr(args, name, None) not in (None, "-") for name in _FILES)


_FILES = ("json", "trial_log", "checkpoint", "output")


def _merge(args: argparse.Namespace) -> int:
    """`mpi-pi merge`."""
    from mpi_pi.cli import merge
    from mpi_pi.errors import UserError

    try:
        return merge.run(args)
    except UserError as error:
        console.error(str(error))
        return BAD_USAGE


def _from_client(args: argparse.Namespace) -> int:
    """`mpi-pi check-hosts` and `mpi-pi deploy`."""
    from mpi_pi.cli import cluster
    from mpi_pi.errors import RunError, UserError

    try:
        return cluster.deploy(args) if args.command == "deploy" else cluster.check_hosts(args)
    except (UserError, RunError) as error:
        console.error(str(error))
        return BAD_USAGE if isinstance(error, UserError) else FAILED


def _bench(args: argparse.Namespace) -> int:
    """`mpi-pi bench` where no launcher has started it, and `mpi-pi bench compare`."""
    if args.part != "compare":
        from mpi_pi.cli import bench_launcher
        from mpi_pi.cli.bench_options import BenchOptions

        return bench_launcher.bench(BenchOptions.of(args))
    from mpi_pi import formatting
    from mpi_pi.bench import comparison
    from mpi_pi.bench import document as bench_document
    from mpi_pi.report.bench import comparison as comparison_report
    from mpi_pi.storage import json_document

    documents = []
    for name in (args.old, args.new):
        try:
            documents.append(bench_document.read(name))
        except json_document.DocumentError as error:
            console.error(f"{formatting.printable(name)}: {error}")
    if len(documents) < 2:
        return BAD_USAGE
    try:
        old, new = documents
        changes = comparison.changes(old, new)
    except UserError as error:
        console.error(str(error))
        return BAD_USAGE
    blocks = comparison_report.blocks(old, new, changes)
    slower = any(change.verdict == "slower" for change in changes.values())
    return FAILED if not console.said(blocks) or slower else VERIFIED


def _picture(args: argparse.Namespace) -> int:
    """`mpi-pi plot` and `mpi-pi report`."""
    from mpi_pi.report import html as html_report
    from mpi_pi.report import sources
    from mpi_pi.report.plots import figure as plot
    from mpi_pi.storage.atomic_file import AtomicFile, OutputError

    try:
        items = sources.read(args.files)
        with AtomicFile("-o/--output", args.output) as file:
            if args.command == "plot":
                file.write(plot.drawn(items, args.output.rpartition(".")[2].lower()))
            else:
                file.write(html_report.page(items))
            file.commit()
    except (sources.SourceError, OutputError, plot.NothingToDraw) as error:
        console.error(str(error))
        return BAD_USAGE
    except plot.PlottingUnavailable as error:
        console.error(str(error))
        return FAILED
    return VERIFIED


_WITHOUT_RANKS = {
    "bench": _bench,
    "check-hosts": _from_client,
    "deploy": _from_client,
    "merge": _merge,
    "plot": _picture,
    "report": _picture,
}


def _other_mpirun(library: str) -> str:
    chosen = [name for name in ("MPI4PY_LIBMPI", "MPI4PY_MPIABI") if name in os.environ]
    return f"the mpirun that was used is that of another MPI: use the mpirun of {library}" + (
        f", or unset {' and '.join(chosen)}" if chosen else ", or install the library of this one"
    )


def _run(args: argparse.Namespace) -> int:
    """All that needs MPI."""
    if srun.started() and (problem := srun.problem()):
        console.error(problem)
        return _without_mpi(BAD_USAGE)
    signals = Signals()
    time_limit.give_up = _end_at_once
    try:
        # A rank that ended while MPI starts would leave the others waiting.
        with signals.all_noted(), warnings.catch_warnings():
            # mpi4py warns on every rank of a launcher that does not fit; below it is said once, as an error.
            warnings.simplefilter("ignore", RuntimeWarning)
            from mpi_pi.mpi import runtime
            from mpi_pi.mpi.heartbeat import HeartbeatTimeout
            from mpi_pi.parallel import run as parallel

            importlib.import_module(f"mpi_pi.{_MODULES[args.command]}")
    except Exception as error:  # whatever a package raises that is broken
        return _not_imported(error)
    comm = parallel.world()
    started = launch_env.size()
    if started is not None and started != comm.size:
        library = parallel.library_name()
        console.error(
            f"the launcher started {started} ranks, but {library} sees {comm.size}: "
            + (srun.advice(library) if srun.started() else _other_mpirun(library))
        )
        return BAD_USAGE if launch_env.rank() == 0 else VERIFIED

    def give_up(silence: str) -> None:
        console.complain(silence)
        parallel.abort(comm, _status_of_silence(args))

    speaks = comm.rank == 0
    try:
        signals.repeat()
        if args.command == "check":
            from mpi_pi.cli import check

            # It looks for silent ranks itself, and is to name those, too, that cannot be sent a sign.
            status = check.check(args, comm)
            alive = runtime.watch(give_up)
        else:
            alive = runtime.watch(give_up)
            status = _on_all_ranks(args, comm, signals, alive)
        signals.over()
        runtime.finish(alive)
    except HeartbeatTimeout as silence:  # after the command has ended; on the ranks that have noticed it
        give_up(str(silence))
    except BaseException as error:
        # Not foreseen, and known to this rank alone: the others have to be stopped.
        status = _complain_of(error, f"rank {comm.rank} on host {runtime.HOST}")
        if comm.size > 1:
            parallel.abort(comm, status)
        runtime.finish(runtime.watch(give_up))
    finally:
        signals.over()
    return status if speaks else VERIFIED


_MODULES = {"check": "cli.check", "bench": "cli.bench_on_ranks", "run": "cli.run"}
"""What else is imported for a command, while an error is still one of an import."""


def _not_imported(error: Exception) -> int:
    """Say which package does not work, and how to mend it, on the first rank or this one alone."""
    why = imports.explained(error)
    console.error(why)
    if launch_env.rank() != 0:
        # As in `_without_mpi`; on busy cores rank 0 may import its packages later than this one.
        time.sleep(3)
        console.complain(f"rank {launch_env.rank()} on host {platform.node()}: {why}")
    return _without_mpi(FAILED)


def _end_at_once(why: str, missing: Iterable[int]) -> None:
    """End this process, which waits in MPI for other ranks, and with it the job.

    Processes of missing ranks are killed: mpirun would wake one that is stopped, and if that one connects to
    mpirun while it ends, Open MPI 5.0.11 may wait for ever.
    """
    console.complain(why)
    for process in missing:
        with contextlib.suppress(OSError):  # another rank has done so
            os.kill(process, signal.SIGKILL)
    hydra.abort(FAILED)
    os._exit(FAILED)


def _complain_of(error: BaseException, whose: str) -> int:
    """Show an error that was not foreseen; the exit status."""
    if isinstance(error, KeyboardInterrupt):
        console.error("interrupted before anything was counted")
        return SIGNALLED + signal.SIGINT
    if isinstance(error, MemoryError):
        console.complain(f"{whose}: {imports.of_memory(str(error))}")
        return FAILED
    console.complain(f"{whose}:")
    traceback.print_exception(error)
    return FAILED


def _on_all_ranks(
    args: argparse.Namespace, comm: "MPI.Intracomm", signals: Signals, alive: "Heartbeat"
) -> int:
    """A run or a benchmark, up to the ends that are foreseen; the exit status, on rank 0."""
    from mpi_pi.cli import run as run_command
    from mpi_pi.mpi.heartbeat import HeartbeatTimeout
    from mpi_pi.parallel import run as parallel

    try:
        if args.command == "bench":
            from mpi_pi.cli import bench_on_ranks
            from mpi_pi.cli.bench_options import BenchOptions

            return bench_on_ranks.bench(BenchOptions.of(args), comm, alive)
        return run_command.Session(args, comm, signals, alive).run()
    except parallel.CollectiveError as failure:  # raised on all ranks alike
        console.error(str(failure))
        return FAILED
    except run_command.Refused as refused:  # likewise
        console.error(str(refused))
        return refused.status
    except HeartbeatTimeout:  # on the ranks that have noticed it, and said so
        status = _status_of_silence(args)
        parallel.abort(comm, status)
        return status


def _status_of_silence(args: argparse.Namespace) -> int:
    return RUN_AGAIN if args.command == "run" and args.checkpoint else FAILED
