"""What the caller of a run does meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.shard import Shard
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.stop import StopRequest


@dataclass(frozen=True)
class Round:
    """A round that is done, as `Hooks.on_round` gets it."""

    number: int
    units: range
    shard: Shard | None
    """The work with all that has been counted of it, this round included; on rank 0."""
    unit_hits: NDArray[np.int64] | None
    """Hits of each unit of this round, int64 (units,), on rank 0, if `Hooks.unit_hits` asks for them."""


@dataclass(frozen=True)
class Hooks:
    """What the caller of a run does meanwhile, on each rank."""

    on_round: Callable[[Round], object] | None = None
    """Called after each round, but not after one that was cut short."""
    on_idle: Callable[[], object] | None = None
    """Called again and again while the rank counts or waits for others; it has to be quick, and must not
    raise."""
    stop: StopRequest | None = None
    """Ends the run early, on all ranks, within a fraction of a second."""
    heartbeat: Heartbeat | None = None
    """A heartbeat that watches over the ranks already; by default, a run has its own."""
    unit_hits: bool = False
    """Whether rank 0 collects the hits of every unit for `on_round`."""
