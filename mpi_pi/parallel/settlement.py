"""What all ranks do after a round in which some of them have counted different hits. Collective.

Rank 0 collects the differences, picks a third rank for each, and gets its answers. The wrong
ranks are excluded; the caller then gets the next assignment, in which others count their units again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mpi_pi.kernel.loader import load
from mpi_pi.model.audit import Opinion, Unsettled
from mpi_pi.mpi.collectives import bcast, gather
from mpi_pi.parallel import repair
from mpi_pi.parallel.disputes import MAX_REFERENCE_POINTS, Dispute, judge, third_ranks
from mpi_pi.parallel.manager import Manager
from mpi_pi.parallel.team import Team

Poll = Callable[[], object]


def settle(
    team: Team, manager: Manager | None, disputes: Sequence[Dispute], kernel_right: bool, poll: Poll
) -> Sequence[Sequence[int]]:
    """Settle the disputes of all ranks; return what each rank, by place, has counted in vain.

    `manager` is that of rank 0, `disputes` are those of this rank, and `kernel_right` tells whether its
    kernel still counts the known answers.
    """
    comm, noticed_at = team.comm, time.clock_gettime(time.CLOCK_MONOTONIC)
    reports = gather(comm, (tuple(disputes), kernel_right), poll)
    if manager and reports:
        disputes, right = [one for those, _ in reports for one in those], [right for _, right in reports]
        trusted = np.flatnonzero(manager.trusted & right).tolist()
        thirds = third_ranks(disputes, _hosts(manager), trusted)
        tasks = [(dispute.unit, third) for dispute, third in zip(disputes, thirds, strict=True)]
        tasks = bcast(comm, tasks, poll)
        found = gather(comm, _answers(team, tasks, poll), poll) or []
        answers = [None if third is None else found[third][k] for k, third in enumerate(thirds)]
        _conclude(team, manager, _Case(disputes, thirds, answers, right, noticed_at))
    else:
        gather(comm, _answers(team, bcast(comm, None, poll), poll), poll)
    return bcast(comm, manager.ledger.discarded() if manager else None, poll)


def _hosts(manager: Manager) -> Sequence[int]:
    return manager.book.hosts[manager.members].tolist() if manager.book else []


def _answers(team: Team, tasks: Sequence[tuple[int, int | None]], poll: Poll) -> list[int | None]:
    """Return the hits of each unit that this rank is the third one to count; None for the other units."""
    return [_hits(team, unit, poll) if third == team.comm.rank else None for unit, third in tasks]


def _hits(team: Team, unit: int, poll: Poll) -> int:
    job = team.shard.job
    kernel = load("numpy") if job.unit_points(unit) <= MAX_REFERENCE_POINTS else team.kernel

    def never() -> bool:
        poll()
        return False

    return int(kernel.count(job, range(unit, unit + 1), never)[0])


class _Case(NamedTuple):
    """All disputes of a round; lists but for `right` have an element for each."""

    disputes: Sequence[Dispute]
    thirds: Sequence[int | None]
    answers: Sequence[int | None]
    right: Sequence[bool]
    """Whether the kernel of each rank still counts the known answers."""
    noticed_at: float
    """In seconds of CLOCK_MONOTONIC."""

    def hits(self, index: int) -> Mapping[int, int]:
        """Return what each rank has counted in the unit of a dispute."""
        dispute, third, answer = self.disputes[index], self.thirds[index], self.answers[index]
        hits = {dispute.counter: dispute.counted, dispute.auditor: dispute.recounted}
        return hits if third is None or answer is None else hits | {third: answer}


def _conclude(team: Team, manager: Manager, case: _Case) -> None:
    """Exclude the ranks that are wrong, on rank 0, and end the run if somebody unknown is, or all are."""
    known = np.flatnonzero(manager.trusted & ~np.array(case.right)).tolist()
    verdicts, unsettled = judge(case.disputes, case.thirds, case.answers, known)
    by_place = {int(manager.members[verdict.wrong]): verdict for verdict in verdicts}
    if by_place:
        repair.exclude(manager, by_place, team.ranks, case.noticed_at)
    if unsettled:
        parties = {rank for index in unsettled for rank in case.hits(index)}
        places = set(manager.members[sorted(parties)].tolist())
        repair.give_up(manager, [_unsettled(team, manager, case, index) for index in unsettled], places)


def _unsettled(team: Team, manager: Manager, case: _Case, index: int) -> Unsettled:
    opinions = []
    for member, own in case.hits(index).items():
        rank = team.ranks[int(manager.members[member])]
        opinions.append(Opinion(rank.rank, rank.info.host, rank.info.cores, own))
    return Unsettled(case.disputes[index].unit, tuple(opinions))
