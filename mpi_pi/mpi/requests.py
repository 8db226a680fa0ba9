"""Waiting for other ranks without taking the core from one that counts on it."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpi_pi.kernel.reference import never

if TYPE_CHECKING:
    from mpi4py import MPI


def give_way() -> None:
    """Let another process have the core, if one wants it."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)


def wait(request: "MPI.Request", meanwhile: Callable[[], object] = never) -> None:
    """Wait for a request, and call `meanwhile` again and again.

    MPI's own waiting burns the core, which is ruinous where there are more ranks than cores. This one leaves
    the core to whoever wants it, and after half a millisecond it sleeps, for an eighth of what it has waited.
    """
    start = time.perf_counter()
    while not request.Test():
        meanwhile()
        waited = time.perf_counter() - start
        if waited < 5e-4:
            give_way()  # to wake up again takes a tenth of a millisecond
        else:
            time.sleep(min(waited / 8, 1e-3))


def allgather(
    comm: "MPI.Intracomm", row: NDArray[np.int64], meanwhile: Callable[[], object] = never
) -> NDArray[np.int64]:
    """The rows of all ranks, shape (ranks, columns)."""
    everyone = np.empty((comm.size, row.size), np.int64)
    wait(comm.Iallgather(row, everyone), meanwhile)
    return everyone
