"""Callbacks of a run, and what else its caller may bring along."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.audit import Audit
from mpi_pi.model.shard import Shard
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.stop import StopRequest


class Round(NamedTuple):
    """A finished round, the argument of `Hooks.on_round`."""

    number: int
    units: range
    shard: Shard | None
    """The work with its tally, this round included, on rank 0; None elsewhere."""
    unit_hits: NDArray[np.int64] | None
    """Hits of each unit of this round, int64 (units,), on rank 0 with `Hooks.unit_hits`; else None."""


class Hooks(NamedTuple):
    """Callbacks, stop request and heartbeat of a run; each rank has its own."""

    on_round: Callable[[Round], object] | None = None
    """Called after each round, except after one that was cut short."""
    on_idle: Callable[[], object] | None = None
    """Called repeatedly while the rank counts or waits for others; has to be quick, and must not raise."""
    stop: StopRequest | None = None
    """Ends the run early, on all ranks, within a fraction of a second."""
    heartbeat: Heartbeat | None = None
    """A heartbeat that watches over the ranks already; by default, the run starts one."""
    unit_hits: bool = False
    """True if rank 0 is to gather the hits of every unit for `on_round`."""
    on_exclusion: Callable[[Shard, Audit], object] | None = None
    """Called on rank 0 after ranks were excluded, with the work without their units, and before other ranks
    count these again; also after a dispute that nobody can settle."""
