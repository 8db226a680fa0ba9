"""Bookkeeping of rank 0 in an audited run: comparisons, and ranks that are wrong. It needs no MPI."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mpi_pi.model.audit import Audit, Unsettled, WrongRank
from mpi_pi.model.result import RankStats
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Tally
from mpi_pi.parallel.account import SUMMED, AuditState, Row
from mpi_pi.parallel.audit_plan import MAX_AUDITED_UNITS, AuditPlan, Ranks, plan
from mpi_pi.parallel.disputes import Verdict
from mpi_pi.parallel.messages import WorkResult
from mpi_pi.parallel.origins import Origins


class Removal(NamedTuple):
    """Units that are to be counted again."""

    units: Sequence[range]
    tally: Tally
    totals: Row
    """What each place has counted of them in this run, the first columns of `account.TOTALS`."""


class AuditBook:
    """Record of the audit of a share of the units of a run, which begins with `begun`.

    `hosts` has a number of the host of each rank, by place.
    """

    def __init__(self, share: float, begun: Shard, hosts: Sequence[int]) -> None:
        self.audit = Audit(share)
        self.hosts = np.array(hosts, np.int64)
        self.excluded: frozenset[int] = frozenset()
        """Places of ranks that count nothing any more."""
        self.recounted_units = 0
        self._seed, self._draw = begun.job.seed, 0
        self._offsets, self._ranks = np.zeros(1, np.int64), Ranks(self.hosts, np.ones(len(hosts), np.bool_))
        self._runs: AuditPlan | None = None
        self._compared = np.zeros(len(hosts), np.int64)
        """Units of each place that were compared, of both ranks."""
        self._origins = Origins(begun.job, len(hosts))
        self.forget(begun, np.zeros((len(hosts), SUMMED), np.int64))

    @property
    def state(self) -> AuditState:
        """What a new rank 0 needs to know, see `take_over`."""
        return AuditState(self.audit, self.excluded, self.recounted_units, self._draw)

    def take_over(self, state: AuditState, shard: Shard, totals: Row) -> None:
        """Take over from a rank 0 that is lost: nobody knows any more which rank has counted which units.

        `totals` are what each place has counted in this run.
        """
        self.audit, self.excluded, self.recounted_units, self._draw = state
        self.forget(shard, totals)

    def forget(self, shard: Shard, totals: Row | None = None) -> None:
        """Forget which rank has counted what of a shard; `totals` are as in `Origins.forget`."""
        if not shard.unproven:
            totals = np.zeros((len(self.hosts), SUMMED), np.int64)
        self._origins.forget(shard.unproven, shard.tally - shard.proven, totals)

    @property
    def max_units(self) -> int:
        """Maximum of units in a round, for hits to take little memory."""
        return max(int(MAX_AUDITED_UNITS * len(self.hosts) / self.audit.share), len(self.hosts))

    def head(self, apart: bool, members: Row, offsets: Row) -> Row:
        """Return the message on the audit of the next round: draw, whether to audit apart, trust, offsets."""
        self._draw += 1
        self._offsets, self._ranks, self._runs = offsets, self.ranks(members), None
        return np.concatenate([[self._draw, apart], self._ranks.trusted, offsets])

    @property
    def runs(self) -> AuditPlan:
        """Plan of the round of the last head, made once."""
        if self._runs is None:
            self._runs = plan(self._offsets, self._ranks, self.audit.share, self._seed, self._draw)
        return self._runs

    def ranks(self, members: Row) -> Ranks:
        """Return hosts and trust of members."""
        return Ranks(
            self.hosts[members], np.array([place not in self.excluded for place in members.tolist()])
        )

    def record_comparisons(self, members: Row) -> None:
        """Record in how many units each member is compared with others in this round."""
        self._compared[members] += self.runs.compared(len(members))

    def record(self, members: Row, results: Row) -> bool:
        """Record a complete round; return whether each of its units was counted by two ranks."""
        self.record_comparisons(members)
        recounted = int(results[:, WorkResult.RECOUNTED].sum())
        self.recounted_units += recounted
        return recounted == int(results[:, WorkResult.UNITS].sum())

    def record_origins(self, shard: Shard, first: int, members: Row, results: Row) -> None:
        """Record the origins of the units of a round, from `first` on, after which `shard` is counted."""
        self._origins.record(first, members, results)
        if self._origins.full:
            self.forget(shard)

    def exclude(self, verdicts: Mapping[int, Verdict], ranks: Sequence[RankStats]) -> Removal:
        """Exclude ranks, by place, and return which units are to be counted again.

        `ranks` has all ranks by place.
        """
        self.excluded |= verdicts.keys()
        removal = self._take_out(verdicts)
        wrong = tuple(
            WrongRank(
                rank=ranks[place].rank,
                host=ranks[place].info.host,
                cores=ranks[place].info.cores,
                unit=verdict.unit,
                counted=verdict.counted,
                right=verdict.right,
                wrong_units=verdict.units,
                compared_units=int(self._compared[place]),
                redone_points=int(removal.totals[place, 1]),
            )
            for place, verdict in verdicts.items()
        )
        self.audit = replace(self.audit, wrong=self.audit.wrong + wrong)
        return removal

    def give_up(self, unsettled: Sequence[Unsettled], places: Collection[int]) -> Removal:
        """Note disputes between places that nobody can settle; return the units that are in doubt."""
        self.audit = replace(self.audit, unsettled=tuple(unsettled))
        return self._take_out(places)

    def _take_out(self, places: Collection[int]) -> Removal:
        return Removal(*self._origins.take_out(sorted(places)))
