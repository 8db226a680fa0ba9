"""Start of a command on ranks, up to that of MPI, and the end of a rank that fails before."""

import argparse
import importlib
import os
import platform
import signal
import time
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn

from mpi_pi import timestamps
from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import BAD_USAGE, FAILED, SIGNALLED, VERIFIED, status_of
from mpi_pi.cli.signals import Signals
from mpi_pi.errors import MpiPiError
from mpi_pi.mpi import flux_run, hydra, srun, time_limit
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.system import imports, launch_env, process

if TYPE_CHECKING:
    from mpi_pi.mpi.runtime import Runtime

_runtimes: "list[Runtime]" = []
"""The runtime of MPI, once it has been started."""

IMPORT_SECONDS = 3.0
"""Time by which rank 0 may import packages later than another rank, on busy cores."""


def execute(args: argparse.Namespace) -> int:
    """Start MPI, run the command on all ranks, end MPI, and return the exit status of this rank.

    At an orderly end, successful or not, rank 0 prints, and has the exit status of the job. The other ranks
    end with status 0, because mpirun kills the job at the first other status, perhaps before rank 0 has
    reported.
    """
    if problem := srun.problem() or flux_run.problem():
        console.error(problem)
        return BAD_USAGE
    if getattr(args, "patience", None):
        time_limit.patience_seconds = args.patience
    signals = Signals(StopRequest())
    time_limit.give_up = _end_process
    try:
        # With signals handled: a rank that ended during the start of MPI would leave the others waiting.
        with signals.all_handled(), warnings.catch_warnings():
            # mpi4py warns on every rank if the launcher does not fit; below, rank 0 prints that as an error.
            warnings.simplefilter("ignore", RuntimeWarning)
            # These import NumPy, which other commands do not need.
            from mpi_pi.cli import ranks
            from mpi_pi.mpi import runtime

            command = importlib.import_module(args.handler_on_ranks)
            timestamps.mark("imported")
            _runtimes.append(world := runtime.start())
    except Exception as error:  # a broken package may raise any exception
        return not_imported(error)
    launched, size = launch_env.size(), world.comm.size
    if launched is not None and launched != size:
        console.error(_launcher_mismatch(launched, size, runtime.library_name()))
        return BAD_USAGE if launch_env.rank() == 0 else VERIFIED
    return ranks.guarded(command.execute, args, signals, world)


def reported(action: Callable[[], int]) -> int:
    """Return the exit status of `action`, or that of an MpiPiError, which is printed on rank 0."""
    try:
        return action()
    except MpiPiError as error:
        if error.own_exit:
            raise error.own_exit from None
        console.error(str(error))
        return status_of(error)


def interrupted() -> int:
    """Print that a signal came too early, and return the exit status."""
    console.error("interrupted before anything was counted")
    return SIGNALLED + signal.SIGINT


def ended(status: int) -> int:
    """End the job with the status of a rank that fails before MPI has started; return the status."""
    if status and not _runtimes:
        if launch_env.rank() != 0:
            time.sleep(1)  # so that rank 0 can print its error; if it has none, this rank ends the job
        hydra.abort(status)
    return status


def leave(status: int) -> NoReturn:
    """End this process without Python's clean-up, which takes a tenth of a second to free its memory."""
    if _runtimes:
        _runtimes[-1].leave(status)
    os._exit(status)


def not_imported(error: Exception) -> int:
    """Print which package fails to import and how to mend it; return the exit status."""
    why = imports.explain(error)
    console.error(why)
    if launch_env.rank() != 0:
        time.sleep(IMPORT_SECONDS)  # so that rank 0, if it has the error, too, can end the job first
        console.complain(f"rank {launch_env.rank()} on host {platform.node()}: {why}")
    return FAILED


def _launcher_mismatch(launched: int, size: int, library: str) -> str:
    if srun.started():
        advice = srun.advice(library)
    elif flux_run.started():
        advice = flux_run.advice(library)
    else:
        chosen = [name for name in ("MPI4PY_LIBMPI", "MPI4PY_MPIABI") if name in os.environ]
        other = f"unset {' and '.join(chosen)}" if chosen else "install the library of this one"
        advice = f"the mpirun that was used is that of another MPI: use the mpirun of {library}, or {other}"
    return f"the launcher started {launched} ranks, but {library} sees {size}: {advice}"


def _end_process(why: str, missing: Iterable[int]) -> None:
    """Kill the processes of missing ranks, and end this one, which waits in MPI for them, and so the job.

    mpirun would resume a stopped process; if that one connects to mpirun while mpirun ends, Open MPI 5.0.11
    may hang.
    """
    console.complain(why)
    for pid in missing:
        process.kill(pid)
    hydra.abort(FAILED)
    os._exit(FAILED)
