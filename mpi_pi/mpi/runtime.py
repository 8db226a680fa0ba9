"""Start and end of MPI, and facts that only MPI knows.

mpi4py calls MPI_Init and MPI_Finalize under Python's global lock, so that no thread could end a process that
waits in them. Here ctypes calls them, which releases the lock.
"""

import contextlib
import ctypes
import functools
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from mpi_pi import timestamps
from mpi_pi.mpi import hydra, library
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.requests import wait
from mpi_pi.mpi.time_limit import limited

if TYPE_CHECKING:
    from mpi4py import MPI

ABORT_SECONDS = 10
"""Time limit for MPI_Abort, which may wait for a host that is out of reach."""

ABORT_TURN_SECONDS, ABORT_TURNS = 0.1, 10
"""Ranks call MPI_Abort one after another, so that the first of them ends the job.

If several do so at once in a job of `mpirun --with-ft ulfm`, prterun of Open MPI 5.0 may wait for ever.
"""


def start() -> "Runtime":
    """Start MPI, unless it has been started already, and record the time stamp `mpi`.

    Raises any exception that the import of mpi4py raises.
    """
    with library.embedded_defaults():
        import mpi4py  # loads the MPI library, which not every command needs

        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
        mpi = mpi_module()
        c_library = ctypes.CDLL(mpi.__file__)  # and with it the MPI library that mpi4py is linked to
        if not mpi.Is_initialized():
            rc = mpi4py.rc
            level = getattr(mpi, f"THREAD_{rc.thread_level.upper()}") if rc.threads else mpi.THREAD_SINGLE
            with limited("MPI_Init"):
                c_library.MPI_Init_thread(None, None, level, ctypes.byref(ctypes.c_int()))
            for comm in (mpi.COMM_WORLD, mpi.COMM_SELF):
                comm.Set_errhandler(mpi.ERRORS_RETURN)  # as mpi4py does, which then raises exceptions
    timestamps.mark("mpi")
    return Runtime(mpi.COMM_WORLD, c_library)


class Runtime:
    """MPI after its start. `comm` is the communicator of all ranks."""

    def __init__(self, comm: "MPI.Intracomm", c_library: ctypes.CDLL) -> None:
        self.comm, self._c_library = comm, c_library
        self._finalized_by_hydra = self._departed = False

    def depart(self) -> None:
        """End without MPI_Finalize, which may hang after a loss of ranks; followed only by `leave`."""
        self._departed = True

    def finish(self, heartbeat: Heartbeat) -> None:
        """Finalize MPI; collective, and followed only by `leave`. `heartbeat` is the one of `watch`.

        Raises HeartbeatTimeout if a rank does not come.
        """
        # Open MPI signs off at its daemon with two short messages by TCP. By Nagle's algorithm the second one
        # waits for the acknowledgement of the first, which Linux delays by 40 ms.
        with contextlib.suppress(OSError):  # no /proc
            for descriptor in Path("/proc/self/fd").iterdir():
                with (
                    contextlib.suppress(OSError),  # not a TCP connection, or closed by now
                    socket.fromfd(int(descriptor.name), socket.AF_INET, socket.SOCK_STREAM) as duplicate,
                ):
                    duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wait(self.comm.Ibarrier(), heartbeat.check)
        with limited("MPI_Finalize"):
            heartbeat.close()
            version = mpi_module().Get_library_version()
            self._finalized_by_hydra = hydra.is_there() and deadlocks_in_finalize(version)
            if not self._finalized_by_hydra:
                self._c_library.MPI_Finalize()

    def leave(self, status: int) -> NoReturn:
        """End this process without Python's clean-up, but with that of the C library.

        In the latter, MPICH signs off at its launcher, which otherwise assumes a crash: it then kills ranks
        that have not ended yet, and returns 9 or 0 instead of the status of rank 0.
        """
        if self._finalized_by_hydra:
            with limited("MPI_Finalize"):
                hydra.leave(self.comm.Iprobe)
        if self._departed:
            os._exit(status)
        self._c_library.exit(status)
        raise AssertionError("exit(3) has returned")


def mpi_module() -> ModuleType:
    """Return mpi4py.MPI, whose import starts MPI if `start` has not been called."""
    from mpi4py import MPI

    return MPI


@functools.cache
def host_name() -> str:
    """Return the name of this rank's host."""
    return str(mpi_module().Get_processor_name())


@functools.cache
def library_name() -> str:
    """Return the MPI library and its version, such as "Open MPI v5.0.11" or "MPICH 5.0.2"."""
    version = mpi_module().Get_library_version().strip("\0").strip()
    # "Open MPI v5.0.11, package: …" or "MPICH Version:      5.0.2", and more lines.
    return " ".join(version.splitlines()[0].split(",")[0].replace("Version:", "").split())


def mpi4py_version() -> str:
    """Return the version of mpi4py."""
    import mpi4py

    return mpi4py.__version__


def may_use_threads() -> bool:
    """Return whether any thread may call MPI."""
    return bool(mpi_module().Query_thread() == mpi_module().THREAD_MULTIPLE)


def watch(comm: "MPI.Intracomm", give_up: Callable[[str], object] | None = None) -> Heartbeat:
    """Start the heartbeat of `comm`. After a silence, `give_up` has to end this process; see Heartbeat."""
    return Heartbeat(comm, host_name(), may_use_threads(), give_up, mpi_module().COMM_SELF.Iprobe)


def abort(comm: "MPI.Intracomm", status: int) -> None:
    """End the job on all ranks at once, after an error that rules out collective operations."""
    time.sleep(hydra.LAST_WORD_SECONDS + ABORT_TURN_SECONDS * min(comm.Get_rank(), ABORT_TURNS))
    signal.alarm(ABORT_SECONDS)
    comm.Abort(status)


def deadlocks_in_finalize(library: str) -> bool:
    """Return whether MPI_Finalize of this MPI library may deadlock in a job on several hosts.

    MPICH 4.0 and 4.1 wait there until UCX has closed its connections, which needs progress of the other rank;
    that rank may be waiting for its launcher by then (MPICH's pull request 6596).
    """
    return re.search(r"MPICH Version:\s*4\.[01]\b", library) is not None and "ch4:ucx" in library
