"""Waiting for other ranks without taking the core from one that counts on it."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

Progress = Callable[[], object]
"""A function without arguments that is called again and again while a rank waits."""

SPIN_SECONDS = 5e-4
"""How long `wait` tries again at once: to wake up again from a sleep takes a tenth of a millisecond."""


def no_progress() -> None:
    """Do nothing while a rank waits."""


def yield_core() -> None:
    """Let another process have the core, if one wants it."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)


def wait(request: "MPI.Request", progress: Progress = no_progress) -> None:
    """Wait until a request is complete, and call `progress` again and again meanwhile.

    MPI's own waiting burns the core, which is ruinous where there are more ranks than cores. This function
    leaves the core to whoever wants it, and after half a millisecond it sleeps, for an eighth of the time
    that it has waited.
    """
    start = time.perf_counter()
    while not request.Test():
        progress()
        waited = time.perf_counter() - start
        if waited < SPIN_SECONDS:
            yield_core()
        else:
            time.sleep(min(waited / 8, 1e-3))
