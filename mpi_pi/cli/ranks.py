"""Run of a command on ranks, which ends MPI, or the job if a single rank fails or falls silent."""

import argparse
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from mpi_pi.cli import console, start
from mpi_pi.cli.exit_codes import FAILED, VERIFIED, status_after_silence
from mpi_pi.cli.signals import Signals
from mpi_pi.mpi import fence, runtime, time_limit, ulfm
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.system import imports

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.parallel.recovery import Survivors


class Ranks(NamedTuple):
    """Access of a command to the ranks of its job."""

    comm: "MPI.Intracomm"
    signals: Signals
    watch: Callable[[], Heartbeat]
    """Starts the heartbeat, without which the command has to detect silent ranks itself."""
    survive: "Callable[[], Survivors]"
    """Makes the command one that survives the loss of ranks; then `watch` is not for it."""


Command = Callable[[argparse.Namespace, Ranks], int]


def guarded(command: Command, args: argparse.Namespace, signals: Signals, world: runtime.Runtime) -> int:
    """Run the command, end MPI, and return the status, which is that of rank 0, and 0 on other ranks.

    After an error of this rank alone, the job is aborted, or goes on without this rank if it survives that.
    """
    ends = _Ends(args, world)
    try:
        signals.repeat()
        status = start.reported(lambda: command(args, Ranks(world.comm, signals, ends.watch, ends.survive)))
        signals.ignore()
        status = status if ends.comm.rank == 0 else VERIFIED  # asked before the end of MPI
        ends.finish()
    except BaseException as error:
        if loss := ulfm.loss_of(error):  # on each rank that has noticed it
            ends.give_up(ulfm.describe(loss, world.comm))
            raise
        # Unforeseen, and raised on this rank only.
        status = _complain_of(error, f"rank {world.comm.rank} on host {runtime.host_name()}")
        if ends.comm.size > 1:
            ends.leave_others(status)
        ends.finish()
    finally:
        signals.ignore()
    return status


class _Ends:
    """Ways in which a rank ends, with or without the others."""

    def __init__(self, args: argparse.Namespace, world: runtime.Runtime) -> None:
        self._args, self._world = args, world
        self._survivors: Survivors | None = None
        self.watch = functools.cache(lambda: runtime.watch(world.comm, self.give_up))

    @property
    def comm(self) -> "MPI.Intracomm":
        """The communicator of the ranks that are left."""
        return (self._survivors or self._world).comm

    def survive(self) -> "Survivors":
        """Let the other ranks go on if this one is lost."""
        from mpi_pi.parallel.recovery import Survivors  # for commands that survive

        whose = f"rank {self._world.comm.rank} on host {runtime.host_name()}"
        fence.put_up(time_limit.patience_seconds, lambda why: self.give_up(f"{whose} {why}"))
        self._survivors = Survivors(self._world.comm, runtime.watch)
        return self._survivors

    def give_up(self, loss: str) -> None:
        """End this rank after a loss of others, or after they have taken it for lost."""
        console.complain(loss)
        self.leave_others(status_after_silence(getattr(self._args, "checkpoint", None)))

    def leave_others(self, status: int) -> None:
        """End this rank, and with it the job, unless the others go on."""
        if self._survivors:
            ulfm.die()
        runtime.abort(self._world.comm, status)

    def finish(self) -> None:
        """Leave MPI together with all other ranks."""
        if self._survivors:
            self._survivors.depart()
            self._world.depart()
        else:
            self._world.finish(self.watch())


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
