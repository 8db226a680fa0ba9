"""Waits for other ranks that leave the core to a rank that counts on it."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mpi_pi.mpi import fence

if TYPE_CHECKING:
    from mpi4py import MPI

Progress = Callable[[], object]
"""A function that is called repeatedly while a rank waits."""

SPIN_SECONDS = 5e-4
"""Time for which `wait` polls without sleep: to wake up from a sleep takes a tenth of a millisecond."""


def no_progress() -> None:
    """Do nothing: the default for `progress`."""


def yield_core() -> None:
    """Yield the core to another process that is ready to run."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)


def peers(comm: "MPI.Intracomm") -> range:
    """Return the ranks that this one exchanges messages with: all others on rank 0, rank 0 elsewhere."""
    return range(1, comm.size) if comm.rank == 0 else range(1)


def wait(request: "MPI.Request", progress: Progress = no_progress) -> None:
    """Wait until a request is complete, and call `progress` repeatedly until then.

    MPI_Wait keeps the core busy, which is ruinous with more ranks than cores. This function yields the core,
    and after SPIN_SECONDS sleeps between polls, for an eighth of the time that it has waited, up to 1 ms.
    """
    start = time.perf_counter()
    while True:
        fence.check()
        if request.Test():
            return
        progress()
        waited = time.perf_counter() - start
        if waited < SPIN_SECONDS:
            yield_core()
        else:
            time.sleep(min(waited / 8, 1e-3))
