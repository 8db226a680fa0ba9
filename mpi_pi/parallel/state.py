"""State of a run on a rank, with which it can go on after the loss of other ranks. It needs no MPI."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.result import LostRank, Repair
from mpi_pi.parallel import repair
from mpi_pi.parallel.account import Account
from mpi_pi.parallel.load_balancer import DEFAULT, Tuning
from mpi_pi.parallel.manager import Manager
from mpi_pi.parallel.team import Team


class Loss(NamedTuple):
    """A loss of ranks as rank 0 is to deal with it."""

    noticed_at: float
    """In seconds of CLOCK_MONOTONIC."""
    redone_points: int
    """Points of the round that was not completed."""
    logs: bool
    """True if rank 0 needs the hits of all units since the beginning; a new rank 0 lacks them, so all is
    counted anew."""


class State:
    """State of a run of `team` on a rank, with which it can go on after the loss of other ranks.

    `lost` has the hosts of ranks, by number, that were lost before the team was assembled.
    """

    def __init__(
        self, team: Team, tuning: Tuning = DEFAULT, lost: Mapping[int, str] = MappingProxyType({})
    ) -> None:
        those = tuple(LostRank(*rank) for rank in sorted(lost.items()))
        loss = Repair(lost=those, round=0, seconds=0.0, redone_points=0, cost_seconds=0.0)
        self.account = Account(team.shard, team.place, (loss,) if lost else ())
        self._tuning = tuning
        self.manager = self._new_manager(team) if team.comm.rank == 0 else None
        """The manager, on rank 0; None elsewhere."""
        if self.manager and lost:
            self.manager.ledger.record_loss(loss)

    def go_on(self, team: Team, totals: Mapping[int, NDArray[np.int64]], loss: Loss) -> None:
        """Go on as rank 0, which this rank may not have been before; `totals` are those of the ranks left.

        `totals` has `account.TOTALS` by the number of the rank in `team.ranks`.
        """
        places = {rank.rank: place for place, rank in enumerate(team.ranks)}
        members = {places[number]: row for number, row in totals.items()}
        manager, account = self.manager, self.account
        if manager is None:
            self.manager = manager = self._new_manager(team)
            repair.take_over(manager, account.committed, members, account.committed_at)
        redone_points = loss.redone_points
        # A run that was stopped leaves no log.
        goes_to_end = manager.shard.complete or not account.committed.ended
        if loss.logs and goes_to_end and account.logged_rounds < manager.rounds:
            redone_points += manager.counted.points - team.shard.tally.points
            repair.start_anew(manager)
        lost = manager.ledger.newly_lost(team.ranks, list(members))
        repair.go_on(manager, list(members), lost, redone_points, loss.noticed_at)

    def _new_manager(self, team: Team) -> Manager:
        """Return a manager that has recorded nothing yet."""
        threads = [rank.info.threads for rank in team.ranks]
        book, tuning = None, self._tuning
        if team.audit:
            from mpi_pi.parallel.audit_book import AuditBook  # for audited runs alone

            names: dict[str, int] = {}
            book = AuditBook(
                team.audit, team.shard, [names.setdefault(rank.info.host, len(names)) for rank in team.ranks]
            )
            tuning = replace(tuning, max_units=min(tuning.max_units or book.max_units, book.max_units))
        return Manager(team.shard, threads, tuning, expels=team.survives, book=book)
