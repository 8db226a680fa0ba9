"""Run of a command on ranks, which ends MPI, or the job if a single rank fails or falls silent."""

import argparse
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from mpi_pi.cli import console, start
from mpi_pi.cli.exit_codes import FAILED, status_after_silence
from mpi_pi.cli.signals import Signals
from mpi_pi.mpi import runtime
from mpi_pi.mpi.heartbeat import Heartbeat, HeartbeatTimeout
from mpi_pi.system import imports

if TYPE_CHECKING:
    from mpi4py import MPI


class Ranks(NamedTuple):
    """Access of a command to the ranks of its job."""

    comm: "MPI.Intracomm"
    signals: Signals
    watch: Callable[[], Heartbeat]
    """Starts the heartbeat, without which the command has to detect silent ranks itself."""


Command = Callable[[argparse.Namespace, Ranks], int]


def guarded(command: Command, args: argparse.Namespace, signals: Signals, world: runtime.Runtime) -> int:
    """Run the command, end MPI, and return the status; abort the job after the failure of a single rank."""

    def give_up(silence: str) -> None:
        console.complain(silence)
        runtime.abort(world.comm, status_after_silence(getattr(args, "checkpoint", None)))

    watch = functools.cache(lambda: world.watch(give_up))
    try:
        signals.repeat()
        status = start.reported(lambda: command(args, Ranks(world.comm, signals, watch)))
        signals.ignore()
        world.finish(watch())
    except HeartbeatTimeout as silence:  # on each rank that has noticed it
        give_up(str(silence))
        raise
    except BaseException as error:
        # Unforeseen, and raised on this rank only: the job has to be aborted.
        status = _complain_of(error, f"rank {world.comm.rank} on host {runtime.host_name()}")
        if world.comm.size > 1:
            runtime.abort(world.comm, status)
        world.finish(watch())
    finally:
        signals.ignore()
    return status


def _complain_of(error: BaseException, whose: str) -> int:
    """Print an unforeseen error, and return the exit status."""
    if isinstance(error, KeyboardInterrupt):
        return start.interrupted()
    if isinstance(error, MemoryError):
        console.complain(f"{whose}: {imports.explain_memory(str(error))}")
        return FAILED
    import traceback  # which only a failure needs

    console.complain(f"{whose}:")
    traceback.print_exception(error)
    return FAILED
