"""State of a run that all ranks agree on, and what each rank has counted: enough to go on without any rank.

A round is a transaction. Its work results count once rank 0 has them all; the state after it is sent to all
ranks before the next round. After a loss of ranks those left take the latest state that one of them has, and
the round that was not completed is assigned anew. It needs no MPI.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.audit import Audit
from mpi_pi.model.result import Repair
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Tally
from mpi_pi.parallel.messages import WorkResult, packed_hits

Row = NDArray[np.int64]

TOTALS = (
    "units",
    "points",
    "hits",
    "count_nanoseconds",
    "count_cpu_nanoseconds",
    "audit_nanoseconds",
    "user_nanoseconds",
    "system_nanoseconds",
    "peak_bytes",
)
"""Columns of the totals of a rank: `SUMMED` sums over rounds, then what its process tells."""

SUMMED = 5


class LostTotals(NamedTuple):
    """What a rank had counted until it was lost."""

    place: int
    """Its place among the ranks of the beginning."""
    seconds: float
    """Time of the loss, as in `Committed.seconds`."""
    totals: tuple[int, ...]
    """See `TOTALS`."""


class AuditState(NamedTuple):
    """State of an audited run, see `audit_book.AuditBook`."""

    audit: Audit
    excluded: frozenset[int]
    """Places of ranks that count nothing any more."""
    recounted_units: int
    draw: int
    """Number of the last round that was drawn."""


class Committed(NamedTuple):
    """State of a run after a number of complete rounds."""

    attempt: int
    """1, or more if all rounds had to be counted anew."""
    rounds: int
    shard: Shard
    """The shard with what was counted of it without a gap, and with the usage until then."""
    counted: Tally
    """All that was counted, also beyond a gap."""
    totals: tuple[int, ...]
    """Sums of the `TOTALS` of all ranks; of the peak memory, the sum has no meaning."""
    seconds: float = 0.0
    """Time since the first assignments of the run."""
    ended: bool = False
    """True if the run has been stopped."""
    kernels_right: bool = True
    lost: tuple[LostTotals, ...] = ()
    repairs: tuple[Repair, ...] = ()
    discarded: tuple[tuple[int, ...], ...] = ()
    """What each rank, by place, has counted in vain, see `Account.discarded`; empty if none has."""
    audit: AuditState | None = None
    """None if the run is not audited."""
    remaining: tuple[range, ...] | None = None
    """Units that are still to be counted, unless the run has been stopped; None for those of `shard`."""

    @property
    def excluded(self) -> frozenset[int]:
        """Places of ranks that were found wrong."""
        return self.audit.excluded if self.audit else frozenset()


class Account:
    """What a rank has counted in complete rounds, and the work result of a round that may not be complete.

    `place` is that of the rank among all of the beginning. `repairs` are those from before the first round.
    """

    def __init__(self, shard: Shard, place: int = 0, repairs: tuple[Repair, ...] = ()) -> None:
        self._place = place
        self.committed = Committed(1, 0, shard, shard.tally, (0,) * len(TOTALS), repairs=repairs)
        self.committed_at = 0.0
        """Time at which rank 0 sent the state, in seconds of CLOCK_MONOTONIC; 0 before it has sent any."""
        self.totals = np.zeros(len(TOTALS), np.int64)
        self.discarded = np.zeros(SUMMED, np.int64)
        """The part of the first columns of `totals` that is counted again by others."""
        self.audit_nanoseconds = 0
        """Time of audits on this rank."""
        self.assigned_points = 0
        """Points of all ranks together in the round that is not complete."""
        self.logged_rounds = 0
        """Rounds that `Hooks.on_round` has been called for with the hits of units, on rank 0."""
        self._pending: Row | None = None

    def report(self, result: Row) -> None:
        """Note the work result of a round, which counts if `commit` follows."""
        self._pending = result

    def confirm(self) -> None:
        """Count the work result of the last round."""
        if self._pending is not None:
            self.totals = added(self.totals, totals_of(self._pending[np.newaxis])[0])
        self._pending, self.assigned_points = None, 0

    def commit(self, committed: Committed, sent_at: float) -> None:
        """Adopt a state, and count the work result if the state is that after its round.

        `sent_at` is when it became that of rank 0, in seconds of CLOCK_MONOTONIC.
        """
        if committed.attempt > self.committed.attempt:
            self.totals[:SUMMED] = 0
            self.logged_rounds = 0
        elif committed.rounds > self.committed.rounds:
            self.confirm()
        self._pending, self.assigned_points = None, 0
        self.committed, self.committed_at = committed, sent_at
        self.discard(committed.discarded)

    def discard(self, of_places: Sequence[Sequence[int]]) -> None:
        """Note what each rank has counted in vain, by place; empty if none has."""
        self.discarded = np.array(of_places[self._place] if of_places else (0,) * SUMMED, np.int64)


def totals_of(results: Row) -> Row:
    """Return the `TOTALS` of work results: int64 (ranks, columns) in, (ranks, len(TOTALS)) out."""
    hits = packed_hits(results[:, WorkResult.TALLY :])
    columns = [
        results[:, WorkResult.UNITS],
        results[:, WorkResult.POINTS],
        hits,
        results[:, WorkResult.COUNT_NS],
        results[:, WorkResult.COUNT_CPU_NS],
    ]
    return np.column_stack([*columns, results[:, WorkResult.AUDIT_NS : WorkResult.PEAK_BYTES + 1]])


def added(totals: Row, later: Row) -> Row:
    """Return `TOTALS`, in the last axis, after a round, in which the last ones are totals already."""
    return np.concatenate([totals[..., :SUMMED] + later[..., :SUMMED], later[..., SUMMED:]], axis=-1)


def latest(states: Iterable[tuple[Committed, float]]) -> tuple[Committed, float]:
    """Return the latest of the states that ranks have, each with its age. All work results are in it.

    After an exclusion of ranks it is one without them. Of equal ones it is the oldest, which came first.
    """

    def order(state: tuple[Committed, float]) -> tuple[int, int, int, float]:
        committed, age = state
        return committed.attempt, committed.rounds, len(committed.excluded), age

    return max(states, key=order)
