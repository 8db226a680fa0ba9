"""Statistics of all ranks and rounds of a run, kept by rank 0, and of losses. It needs no MPI."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mpi_pi.model.result import LostRank, RankStats, Repair, RoundRecord, Timeline
from mpi_pi.parallel.account import SUMMED, TOTALS, Committed, LostTotals, Row, added, totals_of
from mpi_pi.parallel.messages import WorkResult


class Ledger:
    """Totals, timeline and losses of ranks, by place, from 0 on. `threads` has their numbers of threads."""

    def __init__(self, threads: Sequence[int] | Row) -> None:
        self.threads = np.array(threads, np.int64)
        self.timeline = Timeline()
        self.repairs: tuple[Repair, ...] = ()
        self._totals = np.zeros((len(self.threads), len(TOTALS)), np.int64)
        self._discarded = np.zeros((len(self.threads), SUMMED), np.int64)
        """The part of the first columns of the totals that other ranks count again."""
        self._right = np.ones(len(self.threads), np.bool_)
        """Ranks whose kernels have counted the known answers after each round."""
        self._lost_seconds: dict[int, float] = {}
        """Time of the loss of ranks, by place."""

    @property
    def core_seconds(self) -> float:
        """Counting time of all threads of all ranks."""
        return float(self._totals[:, 3] @ (self.threads / 1e9))

    def record(
        self, members: Row, results: Row, span: tuple[int, int, float, float], lost_units: Row
    ) -> None:
        """Record a round: the work results of members, int64 (members, columns), of which each has a place.

        `span` has the first and the last number, the start and the end of the RoundRecord.
        """
        new = totals_of(results)
        self._totals[members] = added(self._totals[members], new)
        self._right[members] &= results[:, WorkResult.WRONG] == 0
        of_all = np.zeros((4, len(self.threads)), np.int64)
        of_all[:, members] = np.stack([*new[:, [0, 1, 3]].T, lost_units])
        self.timeline.append(RoundRecord(*span, int(new[:, 2].sum()), *of_all))

    def record_loss(self, repair: Repair, places: Sequence[int] = ()) -> None:
        """Record the loss of ranks, which have these places unless they were lost before the first round."""
        self.repairs += (repair,)
        for place in places:
            self._lost_seconds.setdefault(place, repair.seconds)

    def take_over(self, committed: Committed, totals: Mapping[int, Row]) -> None:
        """Set up the ledger of a new rank 0 from a state, and from the `TOTALS` of the ranks left, by place.

        What ranks have counted that were lost together with the old rank 0 is known in sum only: the first of
        them that is not excluded gets it all. The rounds so far become one record.
        """
        self.repairs = committed.repairs
        self._lost_seconds = {lost.place: lost.seconds for lost in committed.lost}
        if committed.discarded:
            self._discarded = np.array(committed.discarded, np.int64)
        known = {lost.place: np.array(lost.totals, np.int64) for lost in committed.lost} | dict(totals)
        for place, row in known.items():
            self._totals[place] = row
        unknown = [place for place in range(len(self.threads)) if place not in known]
        unknown.sort(key=committed.excluded.__contains__)
        if unknown:
            sums = zip(committed.totals, exact_sums(self._totals), strict=True)
            self._totals[unknown[0]] = [of_all - of_known for of_all, of_known in sums]
            self._totals[unknown, -1] = 0  # the peak memory, which nobody knows any more
            self._discarded[unknown[0]] = self._discarded[unknown].sum(axis=0)
            self._discarded[unknown[1:]] = 0
        if committed.rounds:
            # Nobody knows any more which ranks have counted what lies beyond a gap: perhaps the last ones.
            units = self.net_totals[:, 0]
            later = np.cumsum(units[::-1])[::-1] - units
            beyond = committed.counted.units - committed.shard.tally.units
            self._join_rounds(committed.rounds - 1, committed.seconds, np.clip(beyond - later, 0, units))

    def discard(self, totals: Row) -> None:
        """Note what each place has counted in vain: the first columns of `TOTALS`, int64 (places, SUMMED).

        The rounds so far become one record, because nobody knows in which of them.
        """
        self._discarded = self._discarded + totals
        if (records := self.timeline.records) and totals.any():
            self._join_rounds(records[-1].last_round, records[-1].end_seconds, np.zeros_like(self.threads))

    def _join_rounds(self, last_round: int, end_seconds: float, lost_units: Row) -> None:
        """Replace all records by one, which has the totals of each place."""
        units, points, hits, count_nanoseconds, _ = self.net_totals.T.copy()
        of_all = (units, points, count_nanoseconds, lost_units)
        self.timeline = Timeline()
        self.timeline.append(RoundRecord(0, last_round, 0.0, end_seconds, int(hits.sum()), *of_all))

    def forget_rounds(self) -> None:
        """Forget what was counted, in order to count it anew."""
        self.timeline = Timeline()
        self.repairs = tuple(replace(repair, round=0) for repair in self.repairs)
        self._totals[:, :SUMMED] = 0
        self._discarded[:] = 0

    @property
    def net_totals(self) -> Row:
        """The first columns of the `TOTALS` of each place, without what it has counted in vain."""
        return self._totals[:, :SUMMED] - self._discarded

    def discarded(self) -> tuple[tuple[int, ...], ...]:
        """Return what each place has counted in vain, as in `discard`; empty if none has."""
        return tuple(map(tuple, self._discarded.tolist())) if self._discarded.any() else ()

    def sums(self) -> tuple[int, ...]:
        """Return the sums of the `TOTALS` of all ranks."""
        return tuple(exact_sums(self._totals))

    def cpu_seconds(self) -> tuple[float, float]:
        """Return user and system time of all ranks."""
        *_, user, system, _ = self.sums()
        return user / 1e9, system / 1e9

    def lost(self) -> tuple[LostTotals, ...]:
        """Return what lost ranks had counted."""
        return tuple(
            LostTotals(place, seconds, tuple(self._totals[place].tolist()))
            for place, seconds in self._lost_seconds.items()
        )

    def newly_lost(self, before: Sequence[RankStats], left: Sequence[int]) -> list[LostRank]:
        """Return the ranks that have no place in `left`, and whose loss is not recorded."""
        return [
            LostRank(rank.rank, rank.info.host)
            for place, rank in enumerate(before)
            if place not in left and place not in self._lost_seconds
        ]

    def rank_stats(self, before: Sequence[RankStats]) -> tuple[RankStats, ...]:
        """Return the statistics of each rank, given those from before the first round."""
        if not self.timeline.records:
            return tuple(before)
        end = self.timeline.records[-1].end_seconds
        seconds = [min(self._lost_seconds.get(place, end), end) for place in range(len(before))]
        totals, usages = self.net_totals.tolist(), self._totals[:, SUMMED:].tolist()
        rows = zip(before, totals, usages, self._right.tolist(), seconds, strict=True)
        return tuple(row.after(*row_and_time) for row, *row_and_time in rows)


def exact_sums(rows: Row) -> list[int]:
    """Return the sums of the columns, which may exceed 64 bits."""
    high, low = (rows >> 32).sum(axis=0).tolist(), (rows & 0xFFFFFFFF).sum(axis=0).tolist()
    return [(above << 32) + below for above, below in zip(high, low, strict=True)]
