"""MPI from its start to its end, and facts that only MPI knows.

mpi4py calls MPI_Init and MPI_Finalize under Python's global lock, so that no thread could end a process that
waits in them. Here they are called by ctypes, which releases it.
"""

import contextlib
import ctypes
import functools
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
"""How long MPI_Abort may take: MPI may wait for a host that is out of reach."""


def start() -> "Runtime":
    """Start MPI, unless somebody else has.

    `mpi_pi.timestamps` gets the point `mpi`. Raises whatever the import of mpi4py raises.
    """
    with library.embedded_defaults():
        import mpi4py  # it loads the MPI library, which not every command needs

        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
        mpi = _mpi()
        c_library = ctypes.CDLL(mpi.__file__)  # leads to the MPI library that mpi4py is linked to
        if not mpi.Is_initialized():
            rc = mpi4py.rc
            level = getattr(mpi, f"THREAD_{rc.thread_level.upper()}") if rc.threads else mpi.THREAD_SINGLE
            with limited("MPI_Init"):
                c_library.MPI_Init_thread(None, None, level, ctypes.byref(ctypes.c_int()))
            for comm in (mpi.COMM_WORLD, mpi.COMM_SELF):
                comm.Set_errhandler(mpi.ERRORS_RETURN)  # for mpi4py to raise exceptions, as by itself
    timestamps.mark("mpi")
    return Runtime(mpi.COMM_WORLD, c_library)


class Runtime:
    """MPI once it has been started. `comm` is the communicator of all ranks."""

    def __init__(self, comm: "MPI.Intracomm", c_library: ctypes.CDLL) -> None:
        self.comm = comm
        self._c_library = c_library
        self._finalized_by_hydra = False

    def watch(self, give_up: Callable[[str], object]) -> Heartbeat:
        """Watch over all ranks until `finish`; if one falls silent, `give_up` has to end this process."""
        return Heartbeat(self.comm, host_name(), may_use_threads(), give_up)

    def finish(self, heartbeat: Heartbeat) -> None:
        """Leave MPI, as the last thing before `leave`; all ranks together. `heartbeat` is from `watch`.

        Open MPI takes leave of its daemon in two short messages by TCP. The second one would wait until the
        first is acknowledged, which Linux puts off for 40 ms in the hope of an answer that could carry it.
        Raises HeartbeatTimeout if a rank does not come.
        """
        with contextlib.suppress(OSError):  # where the system does not tell
            for descriptor in Path("/proc/self/fd").iterdir():
                with contextlib.suppress(OSError):  # what is no connection, or closed by now
                    _send_at_once(int(descriptor.name))
        wait(self.comm.Ibarrier(), heartbeat.check)
        with limited("MPI_Finalize"):
            heartbeat.close()
            self._finalized_by_hydra = hydra.is_there() and _deadlocks_in_finalize(
                _mpi().Get_library_version()
            )
            if not self._finalized_by_hydra:
                self._c_library.MPI_Finalize()

    def leave(self, status: int) -> NoReturn:
        """End this process without Python's clean-up, but with that of the C library.

        In that, MPICH takes leave of its launcher, which otherwise takes this for a crash: it then kills
        ranks that have not ended yet, and returns 9, or 0 whatever rank 0 returned.
        """
        if self._finalized_by_hydra:
            with limited("MPI_Finalize"):
                hydra.leave(self.comm.Iprobe)
        self._c_library.exit(status)
        raise AssertionError("exit(3) has returned")


def _mpi() -> ModuleType:
    """Return mpi4py.MPI. Where nobody has started MPI, importing it would."""
    from mpi4py import MPI

    return MPI


@functools.cache
def host_name() -> str:
    """Return the name of this rank's host."""
    name: str = _mpi().Get_processor_name()
    return name


@functools.cache
def library_name() -> str:
    """Return the MPI library and its version, such as "Open MPI v5.0.11" or "MPICH 5.0.2"."""
    version = _mpi().Get_library_version().strip("\0").strip()
    # "Open MPI v5.0.11, package: …" or "MPICH Version:      5.0.2", and more lines.
    return " ".join(version.splitlines()[0].split(",")[0].replace("Version:", "").split())


def may_use_threads() -> bool:
    """Return whether any thread may call MPI."""
    mpi = _mpi()
    return bool(mpi.Query_thread() == mpi.THREAD_MULTIPLE)


def abort(comm: "MPI.Intracomm", status: int) -> None:
    """End the job on all ranks, now: for errors after which they cannot meet any more."""
    time.sleep(hydra.LAST_WORD_SECONDS)
    signal.alarm(ABORT_SECONDS)
    comm.Abort(status)


def _deadlocks_in_finalize(library: str) -> bool:
    """Whether a job on several hosts may never get through MPI_Finalize.

    MPICH up to 4.1 waits there until UCX has closed its connections, for which the other rank has to make
    progress, and that one may be waiting for its launcher by then (MPICH's pull request 6596).
    """
    return re.search(r"MPICH Version:\s*4\.[01]\b", library) is not None and "ch4:ucx" in library


def _send_at_once(descriptor: int) -> None:
    """Have a connection by TCP wait for nothing. Raises OSError for whatever else it is."""
    found = socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)  # a second one, to be closed again
    with found:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
