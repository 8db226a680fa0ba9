"""User-level failure mitigation (ULFM): an MPI that reports the loss of ranks, instead of ending the job.

Open MPI 5 has it built in, and turns it on with `mpirun --with-ft ulfm`. See Bland et al., "Post-failure
recovery of MPI communication capability", 2013; the functions are MPIX_Comm_revoke and MPIX_Comm_shrink.
"""

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from mpi_pi.formatting import format_some
from mpi_pi.mpi import fence, runtime
from mpi_pi.mpi.peer_timeout import PeerTimeout, RankLoss
from mpi_pi.mpi.runtime import mpi_module
from mpi_pi.mpi.time_limit import limited
from mpi_pi.system import launch_env, process

if TYPE_CHECKING:
    from mpi4py import MPI


SETTLE_SECONDS = 0.1
"""Pause between the revocation of a communicator and the making of a new one."""


def works() -> bool:
    """Return whether this job survives a loss of ranks: `is_on`, and mpi4py has the functions for it."""
    return is_on() and not _mpi4py_is_too_old()


def is_on() -> bool:
    """Return whether MPI survives a loss of ranks: Open MPI 5 or newer, told to by mpirun."""
    version = re.match(r"Open MPI v(\d+)", runtime.library_name())
    return launch_env.survives_loss() and version is not None and int(version[1]) >= 5


def warnings() -> list[str]:
    """Return a text if MPI would survive a loss of ranks, but mpi4py is too old."""
    if not is_on() or not _mpi4py_is_too_old():
        return []
    return [
        f"mpi4py {runtime.mpi4py_version()} cannot go on after a loss of ranks: install mpi4py 4.1 or newer"
    ]


def _mpi4py_is_too_old() -> bool:
    return int(runtime.mpi4py_version().split(".")[0]) < 4  # 4.0 has Comm.Revoke and the like


def loss_of(error: BaseException) -> RankLoss | None:
    """Return the RankLoss that an exception of MPI, or a RankLoss, stands for; None for any other error."""
    if isinstance(error, RankLoss):
        return error
    if isinstance(error, mpi_module().Exception) and error.Get_error_class() in _classes():
        return RankLoss(error.Get_error_string())
    return None


def describe(loss: RankLoss, comm: "MPI.Intracomm") -> str:
    """Return the text of an error about a loss that ends the job; `comm` is MPI_COMM_WORLD."""
    if isinstance(loss, PeerTimeout):
        return str(loss)
    failed = comm.Get_failed()
    group = comm.Get_group()
    ranks = sorted(failed.Translate_ranks(None, group))
    failed.Free()
    group.Free()
    return f"lost {format_some([f'rank {rank}' for rank in ranks], 10)}" if ranks else str(loss)


@contextlib.contextmanager
def losses() -> Iterator[None]:
    """Raise RankLoss for the exception of MPI that it is, if the body of the with statement raises one."""
    try:
        yield
    except Exception as error:
        loss = loss_of(error)
        if loss in (None, error):
            raise
        raise loss from error


def _classes() -> Collection[int]:
    names = ("ERR_PROC_FAILED", "ERR_PROC_FAILED_PENDING", "ERR_REVOKED")
    return [getattr(mpi_module(), name) for name in names if hasattr(mpi_module(), name)]


def shrink(comm: "MPI.Intracomm") -> "MPI.Intracomm":
    """Return a communicator of the ranks of `comm` that are alive. Collective over those.

    Operations on `comm` that are in progress on other ranks fail there, which makes them call this function.
    """
    # Each rank watches over the one before it, so silent ranks of a host are noticed one after the other; and
    # Open MPI allows twice the time for each but the first.
    patience = 2 * max(launch_env.size_on_host(), 1) - 1
    with fence.kept_up(), limited("MPI_Comm_shrink", patience):
        comm.Revoke()
        # Open MPI 5.0 may crash if it hears of the revocation while it makes the new communicator.
        time.sleep(SETTLE_SECONDS)
        alive: MPI.Intracomm = comm.Shrink()  # type: ignore[assignment]  # of the kind of `comm`
    alive.Set_errhandler(mpi_module().ERRORS_RETURN)  # as mpi4py does at the start; it raises exceptions
    return alive


def lost_ranks(before: "MPI.Intracomm", after: "MPI.Intracomm") -> list[int]:
    """Return the ranks of communicator `before` that `after` lacks. Local."""
    old, new = before.Get_group(), after.Get_group()
    translated = old.Translate_ranks(None, new)
    undefined = mpi_module().UNDEFINED
    old.Free()
    new.Free()
    return [rank for rank, place in enumerate(translated) if place == undefined]


def kill_on_host(ranks: Collection[int]) -> None:
    """Kill those lost ranks, by their number in MPI_COMM_WORLD, that are processes of this host.

    A stopped process, which had been taken for dead, would otherwise wake up.
    """
    for rank, pid in process.ranks_on_host().items():
        if rank in ranks:
            process.kill(pid)


def die() -> None:
    """End this process in the one way that Open MPI reports to the other ranks as the loss of a rank.

    After an exit with a status other than 0 it ends the job.
    """
    process.kill(os.getpid())
