"""MPI from its start to its end: the only importer of mpi4py.

mpi4py calls MPI_Init and MPI_Finalize under Python's global lock, so that no thread could end a process that
waits in them. Here they are called by ctypes, which releases it.
"""

import contextlib
import ctypes
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import mpi4py

from mpi_pi import timestamps
from mpi_pi.mpi import hydra, library
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.requests import wait
from mpi_pi.mpi.time_limit import limited
from mpi_pi.system import process

with library.embedded_defaults():
    mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
    from mpi4py import MPI as MPI

    _LIBRARY = ctypes.CDLL(MPI.__file__)  # leads to the MPI library that it is linked to
    if not MPI.Is_initialized():
        rc = mpi4py.rc
        level = getattr(MPI, f"THREAD_{rc.thread_level.upper()}") if rc.threads else MPI.THREAD_SINGLE
        with limited("MPI_Init"):
            _LIBRARY.MPI_Init_thread(None, None, level, ctypes.byref(ctypes.c_int()))
        for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
            comm.Set_errhandler(MPI.ERRORS_RETURN)  # for mpi4py to raise exceptions, as by itself

timestamps.mark("mpi")
STARTUP_SECONDS = process.seconds_since_process_start()
HOST = MPI.Get_processor_name()


def watch(give_up: Callable[[str], object]) -> Heartbeat:
    """Watch over all ranks from now on until `finish`; if one falls silent, `give_up` ends this process."""
    return Heartbeat(MPI.COMM_WORLD, HOST, may_use_threads(), give_up)


def may_use_threads() -> bool:
    """Whether any thread may call MPI."""
    return MPI.Query_thread() == MPI.THREAD_MULTIPLE


def finish(alive: Heartbeat) -> None:
    """Leave MPI, as the last thing before `leave`; all ranks together. `alive` is from `watch`.

    Open MPI takes leave of its daemon in two short messages by TCP. The second one would wait until the first
    is acknowledged, which Linux puts off for 40 ms in the hope of an answer that could carry it. Raises
    pulse.HeartbeatTimeout if a rank does not come.
    """
    with contextlib.suppress(OSError):  # where the system does not tell
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # what is no connection, or closed by now
                _send_at_once(int(descriptor.name))
    wait(MPI.COMM_WORLD.Ibarrier(), alive.check)
    with limited("MPI_Finalize"):
        alive.close()
        if hydra.is_there() and _deadlocks_in_finalize(MPI.Get_library_version()):
            _without_finalize.set()
        else:
            _LIBRARY.MPI_Finalize()


_without_finalize = threading.Event()
"""Whether `leave` has to take the place of MPI_Finalize."""


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


def leave(status: int) -> NoReturn:
    """End this process without Python's clean-up, but with that of the C library.

    In that, MPICH takes leave of its launcher, which otherwise takes this for a crash: it then kills ranks
    that have not ended yet, and returns 9, or 0 whatever rank 0 returned.
    """
    if _without_finalize.is_set():
        with limited("MPI_Finalize"):
            hydra.leave(MPI.COMM_WORLD.Iprobe)
    _LIBRARY.exit(status)
    raise AssertionError("exit(3) has returned")
