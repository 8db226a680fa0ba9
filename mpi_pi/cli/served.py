"""Ranks that do what rank 0 commands, and end the job when rank 0 falls silent."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import FAILED
from mpi_pi.mpi import runtime
from mpi_pi.mpi.command_loop import Action, serve
from mpi_pi.mpi.peer_timeout import PeerTimeout

if TYPE_CHECKING:
    from mpi4py import MPI


def serve_root(
    comm: "MPI.Intracomm", actions: Mapping[str, Action], host_of_root: Callable[[], str] = str
) -> None:
    """Run the commands of rank 0 until it ends its loop; abort the job if it is silent for too long.

    `host_of_root` returns the name of its host, or "" if that is not known.
    """

    def complain(message: str) -> None:
        console.complain(f"rank {comm.rank} on host {runtime.host_name()}: {message}")

    try:
        serve(comm, actions, complain)
    except PeerTimeout as timeout:
        host = host_of_root()
        complain(f"{timeout} on host {host}" if host else str(timeout))
        runtime.abort(comm, FAILED)
