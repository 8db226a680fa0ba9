"""The guard around commands that run on ranks: MPI from its start to its end, and no rank left waiting.

Of an orderly end, good or bad, rank 0 speaks for the job: it prints, and its status is the job's. The other
ranks end with 0, because mpirun kills the rest of a job at the first status that is not, and rank 0 might
not have reported by then.
"""

import argparse
import contextlib
import functools
import importlib
import os
import platform
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpi_pi import timestamps
from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import BAD_USAGE, FAILED, RUN_AGAIN, SIGNALLED, VERIFIED, status_of
from mpi_pi.cli.signals import Signals
from mpi_pi.errors import MpiPiError
from mpi_pi.mpi import hydra, srun, time_limit
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.system import imports, launch_env

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.mpi.heartbeat import Heartbeat
    from mpi_pi.mpi.runtime import Runtime

_runtimes: "list[Runtime]" = []
"""MPI, once it has been started."""

IMPORT_SECONDS = 3.0
"""How much later than another rank rank 0 may import its packages, on busy cores."""


@dataclass(frozen=True)
class Ranks:
    """All ranks of the job, as a command sees them."""

    comm: "MPI.Intracomm"
    signals: Signals
    stop: StopRequest
    watch: Callable[[], "Heartbeat"]
    """Starts the heartbeat. A command that does so late, or not, looks for silent ranks itself until then."""


def execute(args: argparse.Namespace) -> int:
    """Run the command on all ranks of the job; return the exit status of this rank."""
    if srun.started() and (problem := srun.problem()):
        console.error(problem)
        return BAD_USAGE
    stop = StopRequest()
    signals = Signals(stop)
    time_limit.give_up = _end_process
    try:
        # A rank that ended while MPI starts would leave the others waiting.
        with signals.all_handled(), warnings.catch_warnings():
            # mpi4py warns on every rank of a launcher that does not fit; below it is said once, as an error.
            warnings.simplefilter("ignore", RuntimeWarning)
            from mpi_pi.mpi import runtime  # with NumPy, for these commands alone

            command = importlib.import_module(args.handler_on_ranks)
            timestamps.mark("imported")
            _runtimes.append(runtime.start())
    except Exception as error:  # whatever a package raises that is broken
        return not_imported(error)
    comm = _runtimes[-1].comm
    launched = launch_env.size()
    if launched is not None and launched != comm.size:
        console.error(_launcher_that_does_not_fit(launched, comm.size, runtime.library_name()))
        return BAD_USAGE if launch_env.rank() == 0 else VERIFIED
    speaks = comm.rank == 0
    status = _guarded(command.execute, args, signals, stop)
    return status if speaks else VERIFIED


def _guarded(
    command: Callable[[argparse.Namespace, Ranks], int],
    args: argparse.Namespace,
    signals: Signals,
    stop: StopRequest,
) -> int:
    """Run the command, and leave MPI. If a rank falls silent, or fails alone, end the whole job."""
    from mpi_pi.mpi import runtime  # as above
    from mpi_pi.mpi.heartbeat import HeartbeatTimeout

    world = _runtimes[-1]

    def give_up(silence: str) -> None:
        console.complain(silence)
        runtime.abort(world.comm, RUN_AGAIN if getattr(args, "checkpoint", None) else FAILED)

    @functools.cache
    def watch() -> "Heartbeat":
        return world.watch(give_up)

    try:
        signals.repeat()
        status = reported(lambda: command(args, Ranks(world.comm, signals, stop, watch)))
        signals.ignore()
        world.finish(watch())
    except HeartbeatTimeout as silence:  # on the ranks that have noticed it
        give_up(str(silence))
        raise
    except BaseException as error:
        # Not foreseen, and known to this rank alone: the others have to be stopped.
        status = _complain_of(error, f"rank {world.comm.rank} on host {runtime.host_name()}")
        if world.comm.size > 1:
            runtime.abort(world.comm, status)
        world.finish(watch())
    finally:
        signals.ignore()
    return status


def reported(action: Callable[[], int]) -> int:
    """Return the exit status of `action`. A foreseen error is said on rank 0, and has a status of its own."""
    try:
        return action()
    except MpiPiError as error:
        if error.own_exit:
            raise error.own_exit from None
        console.error(str(error))
        return status_of(error)


def end_without_mpi(status: int) -> int:
    """Return the status of a rank that ends before MPI has started, after rank 0 has said why."""
    if launch_env.rank() != 0:
        time.sleep(1)  # for rank 0 to say it first; should it have no reason to, this ends the job
    hydra.abort(status)
    return status


def leave(status: int) -> None:
    """End this process as MPI wants it, if MPI has been started."""
    if _runtimes:
        _runtimes[-1].leave(status)


def mpi_has_started() -> bool:
    """Return whether MPI has been started."""
    return bool(_runtimes)


def not_imported(error: Exception) -> int:
    """Say which package does not work and how to mend it, on the first rank or on this one alone."""
    why = imports.explain(error)
    console.error(why)
    if launch_env.rank() != 0:
        time.sleep(IMPORT_SECONDS)  # for rank 0 to say it first, as in `end_without_mpi`
        console.complain(f"rank {launch_env.rank()} on host {platform.node()}: {why}")
    return FAILED


def _launcher_that_does_not_fit(launched: int, size: int, library: str) -> str:
    if srun.started():
        advice = srun.advice(library)
    else:
        chosen = [name for name in ("MPI4PY_LIBMPI", "MPI4PY_MPIABI") if name in os.environ]
        advice = f"the mpirun that was used is that of another MPI: use the mpirun of {library}" + (
            f", or unset {' and '.join(chosen)}" if chosen else ", or install the library of this one"
        )
    return f"the launcher started {launched} ranks, but {library} sees {size}: {advice}"


def _end_process(why: str, missing: Iterable[int]) -> None:
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
    """Show an error that was not foreseen; return the exit status."""
    if isinstance(error, KeyboardInterrupt):
        console.error("interrupted before anything was counted")
        return SIGNALLED + signal.SIGINT
    if isinstance(error, MemoryError):
        console.complain(f"{whose}: {imports.explain_memory(str(error))}")
        return FAILED
    console.complain(f"{whose}:")
    traceback.print_exception(error)
    return FAILED
