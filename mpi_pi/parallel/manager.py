"""Bookkeeping of rank 0: records the work results of a round, and assigns the next one. It needs no MPI.

After each round every rank sends rank 0 its work result, a row of 32 integers, and receives its next
assignment, a row of six: a few hundred bytes for each rank, however many ranks there are.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model import tally
from mpi_pi.model.result import RankStats, RoundRecord, Timeline
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.parallel.load_balancer import DEFAULT, LoadBalancer, Tuning
from mpi_pi.parallel.partition import offsets
from mpi_pi.system import process


class WorkResult(IntEnum):
    """Columns of the work result of a rank for a round."""

    FAILED = 0
    STOPPED = 1
    """1 if the rank knows of a stop request."""
    WRONG = 2
    """1 if its kernel no longer counts the known answers."""
    POINTS = 3
    COUNT_NS = 4
    WAIT_NS = 5
    """In the round before this one."""
    UNITS = 6
    USER_NS = 7
    """Total CPU time of the process, as SYSTEM_NS."""
    SYSTEM_NS = 8
    PEAK_BYTES = 9
    """Peak memory of the process."""
    TALLY = 10
    """The first of `tally.COLUMNS`, see `tally.pack`."""


WORK_RESULT_COLUMNS = WorkResult.TALLY + tally.COLUMNS


class Assignment(IntEnum):
    """Columns of the assignment of a rank for the next round."""

    FAILED = 0
    """1 if a rank has failed in the round before."""
    STOPPED = 1
    """1 if a rank knew of a stop request in the round before."""
    DONE = 2
    """Units that were counted in the round before."""
    UNITS = 3
    """Units in the next round; 0 if there is none."""
    START = 4
    """First unit of the rank, counted from the first one of the round; STOP is the one after its last."""
    STOP = 5


class Manager:
    """Record of what the ranks have counted of a shard. `threads` has the number of threads of each rank."""

    def __init__(self, shard: Shard, threads: Sequence[int], tuning: Tuning = DEFAULT) -> None:
        self.counted = shard.tally
        """All units counted, including those beyond a gap."""
        self.kernels_right = True
        self.timeline = Timeline()
        self.rounds = 0
        self._begun = shard
        self._contiguous = shard.tally
        self._cpu_seconds: tuple[float, float] | None = None
        """User and system time of all ranks so far; None before any round."""
        self._threads = np.array(threads, np.int64)
        ranks = len(self._threads)
        self._balancer = LoadBalancer(shard.job, shard.remaining, self._threads, tuning)
        self._assigned = np.zeros(ranks, np.int64)
        """Units that each rank has to count in this round."""
        self._totals = np.zeros((ranks, 4), np.int64)
        """Units, points, hits and nanoseconds of counting of each rank."""
        self._right = np.ones(ranks, np.bool_)
        """Ranks whose kernels have counted the known answers after each round."""
        self._last_results: NDArray[np.int64] | None = None
        self._startup_seconds = self._assigned_at = 0.0
        self._start = 0.0
        """In seconds of CLOCK_MONOTONIC; `_assigned_at` and the times of the timeline count from then on."""

    @property
    def shard(self) -> Shard:
        """The shard with the tally of all units counted from its first one on without a gap."""
        if self._cpu_seconds is None:
            return self._begun
        return replace(self._begun, tally=self._contiguous, usage=self.usage(*self._cpu_seconds))

    def begin(self) -> NDArray[np.int64]:
        """Return the first assignments, int64 (ranks, columns)."""
        self._start = time.clock_gettime(time.CLOCK_MONOTONIC)
        self._startup_seconds = process.seconds_since_process_start(self._start)
        return self._assign()

    def next(self, results: NDArray[np.int64]) -> NDArray[np.int64]:
        """Record the work results of a round, int64 (ranks, columns), and return the next assignments."""
        sums = _exact_sums(results)
        if sums[WorkResult.FAILED]:
            assignments = self._assign(last=True)
            assignments[:, Assignment.FAILED] = True
            return assignments
        stopped, done = sums[WorkResult.STOPPED] > 0, sums[WorkResult.UNITS]
        missing = done < int(self._assigned.sum())
        self._record(results, sums, missing)
        assignments = self._assign(last=stopped or missing)
        assignments[:, [Assignment.STOPPED, Assignment.DONE]] = stopped, done
        return assignments

    def rank_stats(self, before: Sequence[RankStats]) -> tuple[RankStats, ...]:
        """Return the statistics of each rank, given those from before the first round."""
        if self._last_results is None:
            return tuple(before)
        seconds = self.timeline.records[-1].end_seconds
        usage = self._last_results[:, WorkResult.USER_NS : WorkResult.PEAK_BYTES + 1].tolist()
        rows = zip(before, self._totals.tolist(), usage, self._right.tolist(), strict=True)
        return tuple(row.after(totals, used, right, seconds) for row, totals, used, right in rows)

    def usage(self, user_seconds: float, system_seconds: float, now: float | None = None) -> Usage:
        """Return the usage of this run and of those that it resumes, given the CPU time of its ranks.

        `now` is in seconds of CLOCK_MONOTONIC, by default the present.
        """
        seconds = self._seconds() if now is None else now - self._start
        return self._begun.usage + Usage(
            runs=1,
            rounds=self.rounds,
            real_seconds=self._startup_seconds + seconds,
            round_seconds=seconds,
            core_seconds=float(self._totals[:, 3] @ (self._threads / 1e9)),
            user_seconds=user_seconds,
            system_seconds=system_seconds,
        )

    def _seconds(self) -> float:
        return time.clock_gettime(time.CLOCK_MONOTONIC) - self._start

    def _assign(self, last: bool = False) -> NDArray[np.int64]:
        self._assigned_at = self._seconds()
        assignments = np.zeros((len(self._threads), len(Assignment)), np.int64)
        if not last:
            units, weights = self._balancer.next_round()
            places = offsets(self._begun.job, units, weights)
            self._assigned = np.diff(places)
            assignments[:, Assignment.UNITS] = len(units)
            assignments[:, Assignment.START] = places[:-1]
            assignments[:, Assignment.STOP] = places[1:]
        return assignments

    def _record(self, results: NDArray[np.int64], sums: list[int], missing: bool) -> None:
        columns = [WorkResult.UNITS, WorkResult.POINTS, WorkResult.COUNT_NS, WorkResult.WAIT_NS]
        units, points, count_nanoseconds, wait_nanoseconds = results.T[columns]
        self._balancer.update(points, count_nanoseconds, wait_nanoseconds)
        counted = tally.unpack(self._begun.job, sums[WorkResult.TALLY :])
        self.counted += counted
        self.kernels_right = self.kernels_right and not sums[WorkResult.WRONG]
        # No run shall resume from what may be wrong.
        kept, contiguous = len(units) if self.kernels_right else 0, counted
        if kept and missing:
            # A rank counts its units from the first on, so the first rank with too few is the last to keep.
            kept = int(np.argmax(units < self._assigned)) + 1
            contiguous = tally.unpack(self._begun.job, _exact_sums(results[:kept])[WorkResult.TALLY :])
        lost_units = units.copy()
        lost_units[:kept] = 0
        span = (self.rounds, self.rounds, self._assigned_at, self._seconds())
        self.timeline.append(RoundRecord(*span, counted.hits, units, points, count_nanoseconds, lost_units))
        self.rounds += 1
        hits = tally.packed_hits(results[:, WorkResult.TALLY :])
        self._totals += np.stack([units, points, hits, count_nanoseconds], axis=1)
        self._right &= results[:, WorkResult.WRONG] == 0
        self._last_results = results
        if kept:
            self._contiguous += contiguous
            self._cpu_seconds = sums[WorkResult.USER_NS] / 1e9, sums[WorkResult.SYSTEM_NS] / 1e9


def _exact_sums(results: NDArray[np.int64]) -> list[int]:
    """Return the sums of the columns, which may exceed 64 bits."""
    high, low = (results >> 32).sum(axis=0).tolist(), (results & 0xFFFFFFFF).sum(axis=0).tolist()
    return [(above << 32) + below for above, below in zip(high, low, strict=True)]
