"""How rank 0 goes on after ranks were lost or excluded. It needs no MPI."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mpi_pi.model.audit import Unsettled
from mpi_pi.model.result import LostRank, RankStats, Repair
from mpi_pi.parallel.account import Committed, Row
from mpi_pi.parallel.manager import Manager
from mpi_pi.system import process

if TYPE_CHECKING:
    from mpi_pi.parallel.audit_book import Removal
    from mpi_pi.parallel.disputes import Verdict


def committed(manager: Manager) -> Committed:
    """Return the state that the other ranks need to go on without rank 0."""
    counted, ledger = (manager.attempt, manager.rounds, manager.shard, manager.counted), manager.ledger
    at_end = manager.assigned_at, manager.ended, manager.kernels_right
    audit = manager.book.state if manager.book else None
    of_ranks = ledger.lost(), ledger.repairs, ledger.discarded()
    return Committed(*counted, ledger.sums(), *at_end, *of_ranks, audit, manager.remaining)


def take_over(manager: Manager, committed: Committed, totals: Mapping[int, Row], sent_at: float) -> None:
    """Take over from a rank 0 that is lost, given a state and the `TOTALS` of the ranks left, by place.

    `sent_at` is the time at which rank 0 sent the state, in seconds of CLOCK_MONOTONIC.
    """
    manager.attempt, manager.rounds = committed.attempt, committed.rounds
    manager.counted, manager.saved = committed.counted, replace(committed.shard, usage=manager.begun.usage)
    if committed.remaining is not None:
        manager.remaining = committed.remaining
    manager.ledger.take_over(committed, totals)
    if manager.book and committed.audit:
        if manager.saved.unproven:  # nobody knows any more which ranks have counted those that are proven
            manager.saved = replace(manager.saved, proven=manager.begun.proven)
        manager.book.take_over(committed.audit, manager.saved, manager.ledger.net_totals)
    manager.cpu_seconds = manager.ledger.cpu_seconds() if manager.rounds else None
    manager.ended, manager.kernels_right = committed.ended, committed.kernels_right
    manager.assigned_at, manager.start = committed.seconds, sent_at - committed.seconds
    manager.startup_seconds = process.seconds_since_process_start(manager.start)


def start_anew(manager: Manager) -> None:
    """Forget all rounds, in order to count them anew."""
    begun, manager.attempt, manager.rounds, manager.ended = manager.begun, manager.attempt + 1, 0, False
    manager.counted, manager.saved, manager.remaining = begun.tally, begun, begun.remaining
    manager.cpu_seconds = None
    manager.ledger.forget_rounds()
    if manager.book:
        manager.book.forget(begun, manager.ledger.net_totals)


def go_on(
    manager: Manager, members: Sequence[int], lost: Sequence[LostRank], redone_points: int, noticed_at: float
) -> None:
    """Continue with the members alone that are left, by their places, and record the loss of the others.

    `redone_points` will be counted anew, `noticed_at` is in seconds of CLOCK_MONOTONIC.
    """
    if lost:  # or else a rank was only slow
        places = sorted(set(range(len(manager.ledger.threads))) - set(members))
        manager.ledger.record_loss(_repair(manager, noticed_at, redone_points, lost=tuple(lost)), places)
    manager.members = np.array(members, np.int64)
    _end_if_nobody_counts(manager)
    manager.balance()


def exclude(
    manager: Manager, verdicts: "Mapping[int, Verdict]", ranks: Sequence[RankStats], noticed_at: float
) -> None:
    """Continue without ranks that count wrongly, by place, and have others count their units again.

    `ranks` has all ranks by place; `noticed_at` is in seconds of CLOCK_MONOTONIC.
    """
    if manager.book is None:
        raise AssertionError("the run is not audited")
    manager.book.record_comparisons(manager.members)
    removal = manager.book.exclude(verdicts, ranks)
    _remove(manager, removal)
    excluded = tuple(LostRank(ranks[place].rank, ranks[place].info.host) for place in sorted(verdicts))
    redone_points = removal.tally.points + manager.begun.job.points_in(manager.units)
    manager.ledger.record_loss(_repair(manager, noticed_at, redone_points, excluded=excluded))
    _end_if_nobody_counts(manager)
    manager.balance()


def _end_if_nobody_counts(manager: Manager) -> None:
    """End the run if all members are excluded."""
    if not manager.trusted.any():
        manager.kernels_right, manager.ended = False, True


def give_up(manager: Manager, unsettled: Sequence[Unsettled], places: Collection[int]) -> None:
    """End the run after disputes between these places that nobody can settle, without the units in doubt."""
    if manager.book is None:
        raise AssertionError("the run is not audited")
    _remove(manager, manager.book.give_up(unsettled, places))
    manager.ended = True


def _remove(manager: Manager, removal: "Removal") -> None:
    manager.saved = manager.saved.without(removal.units, removal.tally)
    manager.counted, manager.remaining = manager.saved.tally, manager.saved.remaining
    manager.ledger.discard(removal.totals)


def _repair(manager: Manager, noticed_at: float, redone_points: int, **ranks: tuple[LostRank, ...]) -> Repair:
    return Repair(
        **{"lost": (), **ranks},
        round=manager.rounds,
        seconds=max(noticed_at - manager.start, 0.0) if manager.start else 0.0,
        redone_points=redone_points,
        cost_seconds=manager.seconds() - manager.assigned_at if manager.start else 0.0,
    )
