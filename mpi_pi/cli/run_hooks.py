"""Callbacks of a run: progress, and when rank 0 saves its checkpoint."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mpi_pi.cli import console
from mpi_pi.model.audit import Audit
from mpi_pi.model.shard import Shard
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.parallel.hooks import Hooks, Round

if TYPE_CHECKING:
    from mpi_pi.cli.supervised import Supervised
    from mpi_pi.storage.checkpoint import CheckpointFile

LONG_ROUND_SECONDS = 5.0
"""Time after which rank 0 saves a checkpoint within a round: it may be waiting for a silent host, and mpirun
leaves no time for a checkpoint once it has noticed that."""


def hooks(
    checkpoint: "CheckpointFile | None",
    supervised: "Supervised | None",
    stop: StopRequest,
    log: Callable[[Round], object],
    show: Callable[[float], object],
    told: int = 0,
) -> Hooks:
    """Return the callbacks; `log` and `show` get each finished round, and the points counted so far.

    `told` is the number of ranks that were found wrong, and named, before.
    """
    saved_at, saved_at_stop = time.monotonic(), False

    def on_round(round_: Round) -> None:
        nonlocal saved_at
        log(round_)
        if round_.shard:
            show(round_.shard.tally.points)
            if supervised:
                supervised.update(round_.shard)
            if checkpoint:
                checkpoint.update(round_.shard)
                saved_at = time.monotonic()

    def on_idle() -> None:
        nonlocal saved_at, saved_at_stop
        now = time.monotonic()
        if supervised:
            supervised.poll()
        # After a signal, too: mpirun may send it because a host is silent, and soon kill what waits.
        if checkpoint and (now > saved_at + LONG_ROUND_SECONDS or (stop.requested and not saved_at_stop)):
            saved_at, saved_at_stop = now, stop.requested
            checkpoint.save()

    exclusion = _on_exclusion(checkpoint, supervised, told)
    return Hooks(on_round, on_idle if checkpoint else None, stop, on_exclusion=exclusion)


def _on_exclusion(
    checkpoint: "CheckpointFile | None", supervised: "Supervised | None", told: int
) -> Callable[[Shard, Audit], None]:
    """Return the callback after an audit has found ranks that count wrongly."""

    def on_exclusion(shard: Shard, audit: Audit) -> None:
        nonlocal told
        # Saved first: once a rank is known to be wrong, no run shall resume from its units.
        if supervised:
            supervised.update(shard, at_once=True)
        if checkpoint:
            checkpoint.finish(shard)
        from mpi_pi.report.audit import messages  # after an exclusion alone

        for message in messages(audit, told):
            console.error(message)
        told = len(audit.wrong)

    return on_exclusion
