"""The audit of a round on every rank: count units of other ranks again, and compare the hits."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np

from mpi_pi.mpi.collectives import bcast
from mpi_pi.mpi.peer_timeout import RankLoss
from mpi_pi.mpi.requests import wait
from mpi_pi.parallel.account import Row
from mpi_pi.parallel.audit_book import AuditBook
from mpi_pi.parallel.audit_plan import AuditPlan, Ranks, plan
from mpi_pi.parallel.disputes import Dispute
from mpi_pi.parallel.manager import Manager
from mpi_pi.parallel.team import Team
from mpi_pi.parallel.threads import ThreadTeam

TAG = 2
"""Tag of messages with hits of a round; the heartbeat has another one."""

NOT_COUNTED = -1


class Audited(NamedTuple):
    """Outcome of the audit of a round on a rank."""

    recounted: int = 0
    """Units of other ranks that this one has counted again, and compared."""
    disputes: Sequence[Dispute] = ()
    """Differences to other ranks, one for each."""


def auditor_of(team: Team, manager: Manager | None, poll: Callable[[], object]) -> "Auditor":
    """Return the auditor of a rank of an audited team. Collective. `manager` is that of rank 0."""
    book = manager.book if manager else None
    hosts = book.hosts[manager.members] if manager and book else None
    return Auditor(team, bcast(team.comm, hosts, poll), book, poll)


class Auditor:
    """The part of a rank in the audit of each round of a team.

    `hosts` has a number of the host of each rank, and `book` is that of rank 0. `poll` is called repeatedly
    while the rank waits.
    """

    def __init__(self, team: Team, hosts: Row, book: AuditBook | None, poll: Callable[[], object]) -> None:
        self._comm, self._job, self._share = team.comm, team.shard.job, team.audit
        self._hosts, self._book, self._poll = hosts, book, poll
        self._plan: AuditPlan | None = None
        self._head = np.zeros(2 * team.comm.size + 3, np.int64)

    def receive(self, head: Row | None) -> None:
        """Receive the message on the audit of the next round, which rank 0 has. Collective."""
        if head is not None:
            self._head[:] = head
        wait(self._comm.Ibcast(self._head), self._poll)
        self._plan = None

    @property
    def plan(self) -> AuditPlan:
        """The plan of this round."""
        if self._book:
            return self._book.runs
        if self._plan is None:
            trusted, offsets = np.split(self._head[2:], [self._comm.size])
            ranks = Ranks(self._hosts, trusted > 0)
            self._plan = plan(offsets, ranks, self._share, self._job.seed, int(self._head[0]))
        return self._plan

    def own_runs(self, units: range) -> list[range]:
        """Return the ranges, in the units of this round, that this rank counts and another one audits."""
        return self._ranges(units, self.plan.of_counter(self._comm.rank))

    def hits_of_runs(self, units: range, own: range, hits: Row) -> Row:
        """Return the hits of the units in `own_runs`, given those of all own units."""
        runs = self.own_runs(units)
        return np.concatenate(
            [hits[:0], *(hits[one.start - own.start : one.stop - own.start] for one in runs)]
        )

    def audit(self, units: range, hits: Row, threads: ThreadTeam | None) -> Audited:
        """Count units of other ranks again, unless `threads` is None, and compare their hits. Collective.

        `units` are those of the round, `hits` what this rank has counted of its `own_runs`, int64; it may
        have stopped before the end. Raises what the kernel raises.
        """
        if self._head[1]:
            wait(self._comm.Ibarrier(), self._poll)
        runs, rank = self.plan, self._comm.rank
        own = _Runs.of(runs, runs.of_counter(rank), runs.auditor)
        others = _Runs.of(runs, runs.of_auditor(rank), runs.counter)
        counted = own.padded(hits)
        requests = [self._comm.Isend(counted[own.peer == peer], dest=peer, tag=TAG) for peer in own.peers]
        messages = {peer: np.empty(int((others.peer == peer).sum()), np.int64) for peer in others.peers}
        requests += [self._comm.Irecv(message, source=peer, tag=TAG) for peer, message in messages.items()]
        problem, recounted = None, np.zeros(0, np.int64)
        try:
            if threads:
                recounted = self._recount(self._ranges(units, runs.of_auditor(rank)), threads)
        except RankLoss:
            raise
        except BaseException as error:
            problem = error  # once the other ranks need not wait for this one any more
        for request in requests:
            wait(request, self._poll)
        if problem is not None:
            raise problem
        return _compare(units.start, others, messages, others.padded(recounted), rank)

    def _ranges(self, units: range, runs: Row) -> list[range]:
        pairs = zip(self.plan.start[runs].tolist(), self.plan.stop[runs].tolist(), strict=True)
        return [units[start:stop] for start, stop in pairs]

    def _recount(self, ranges: Sequence[range], threads: ThreadTeam) -> Row:
        """Return the hits of the units of all ranges, or fewer after a stop."""
        found = [np.zeros(0, np.int64)]
        for units in ranges:
            found.append(threads.count(self._job, units, [units])[1])
            if len(found[-1]) < len(units):
                break
        return np.concatenate(found)


class _Runs(NamedTuple):
    """Units of some runs of a plan, one after the other; arrays have shape (units,)."""

    place: Row
    """The unit, counted from the first one of the round."""
    peer: Row
    """The rank that its hits are compared with."""

    @classmethod
    def of(cls, plan: AuditPlan, which: Row, peers: Row) -> Self:
        """Return the units of runs, given as indices; `peers` has a rank for each run of the plan."""
        start, length = plan.start[which], (plan.stop - plan.start)[which]
        first = np.cumsum(length) - length
        place = np.arange(int(length.sum())) + np.repeat(start - first, length)
        return cls(place, np.repeat(peers[which], length))

    @property
    def peers(self) -> list[int]:
        """All ranks that units are compared with."""
        peers: list[int] = np.unique(self.peer).tolist()
        return peers

    def padded(self, hits: Row) -> Row:
        """Return the hits of all units, of which only the first ones may have been counted."""
        padded = np.full(self.place.size, NOT_COUNTED, np.int64)
        padded[: len(hits)] = hits
        return padded


def _compare(first: int, runs: _Runs, messages: Mapping[int, Row], recounted: Row, rank: int) -> Audited:
    """Compare the hits in messages of others with those of this `rank`; `first` is the round's first unit."""
    counted = np.full_like(recounted, NOT_COUNTED)
    for peer, message in messages.items():
        counted[runs.peer == peer] = message
    both = (counted != NOT_COUNTED) & (recounted != NOT_COUNTED)
    different = both & (counted != recounted)
    disputes = []
    for peer in np.unique(runs.peer[different]).tolist():
        those = np.flatnonzero(different & (runs.peer == peer))
        k = int(those[0])
        unit, theirs, own = first + int(runs.place[k]), int(counted[k]), int(recounted[k])
        disputes.append(Dispute(unit, peer, theirs, rank, own, len(those)))
    return Audited(int(both.sum()), disputes)
