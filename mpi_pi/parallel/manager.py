"""Bookkeeping of rank 0: records the work results of a round, and assigns the next one. It needs no MPI.

After each round every rank sends rank 0 its work result, a row of 32 integers, and receives its next
assignment, a row of six: a few hundred bytes for each rank, however many ranks there are.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mpi_pi.model import tally
from mpi_pi.model.result import LostRank, Repair
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.parallel.account import Committed, Row
from mpi_pi.parallel.ledger import Ledger, exact_sums
from mpi_pi.parallel.load_balancer import DEFAULT, LoadBalancer, Tuning
from mpi_pi.parallel.messages import EXPULSION, FAILURE, Assignment, WorkResult
from mpi_pi.parallel.partition import offsets
from mpi_pi.system import process


class Manager:
    """Record of what the ranks have counted of a shard. `threads` has the number of threads of each rank.

    If `expels`, a round in which some ranks fail alone ends in their expulsion. After a loss of ranks
    `go_on` continues with those left, which are then the `members`, by their places among all.
    """

    def __init__(
        self, shard: Shard, threads: Sequence[int], tuning: Tuning = DEFAULT, *, expels: bool = False
    ) -> None:
        self.ledger = Ledger(threads)
        self.counted = shard.tally
        """All units counted, including those beyond a gap."""
        self.kernels_right = True
        self.rounds = 0
        self._attempt = 1
        self._begun = shard
        self._contiguous = shard.tally
        self._cpu_seconds: tuple[float, float] | None = None  # before any round
        self._tuning, self._expels, self._ended = tuning, expels, False
        self._members = np.arange(len(threads))
        self._balancer = LoadBalancer(shard.job, shard.remaining, self.ledger.threads, tuning)
        self._assigned = np.zeros(len(threads), np.int64)
        """Units that each member has to count in this round."""
        self._startup_seconds = self._assigned_at = 0.0
        self.start = 0.0
        """In seconds of CLOCK_MONOTONIC; `_assigned_at` and the times of the timeline count from then on."""

    @property
    def shard(self) -> Shard:
        """The shard with the tally of all units counted from its first one on without a gap."""
        if self._cpu_seconds is None:
            return self._begun
        return replace(self._begun, tally=self._contiguous, usage=self.usage(*self._cpu_seconds))

    def begin(self) -> Row:
        """Return the first assignments, int64 (members, columns), of a run or after a loss of ranks."""
        if not self.start:
            self.start = time.clock_gettime(time.CLOCK_MONOTONIC)
            self._startup_seconds = process.seconds_since_process_start(self.start)
        return self._assign(last=self._ended)

    def next(self, results: Row) -> Row:
        """Record the work results of a round, int64 (members, columns), and return the next assignments."""
        sums = exact_sums(results)
        stopped, done = sums[WorkResult.STOPPED] > 0, sums[WorkResult.UNITS]
        missing = done < int(self._assigned.sum())
        leaving = sums[WorkResult.WRONG] if self._expels else 0
        failure = sums[WorkResult.FAILED] or (leaving == len(results) and missing and not stopped)
        if failure or 0 < leaving < len(results):
            assignments = self._assign(last=True)
            assignments[:, Assignment.FAILED] = FAILURE if failure else EXPULSION
            return assignments
        self._record(results, sums, missing)
        self._ended = stopped or missing
        assignments = self._assign(last=self._ended)
        assignments[:, [Assignment.STOPPED, Assignment.DONE]] = stopped, done
        return assignments

    def usage(self, user_seconds: float, system_seconds: float, now: float | None = None) -> Usage:
        """Return the usage of this run and of those that it resumes, given the CPU time of its ranks.

        `now` is in seconds of CLOCK_MONOTONIC, by default the present.
        """
        seconds = self._seconds() if now is None else now - self.start
        return self._begun.usage + Usage(
            runs=1,
            rounds=self.rounds,
            real_seconds=self._startup_seconds + seconds,
            round_seconds=seconds,
            core_seconds=self.ledger.core_seconds,
            user_seconds=user_seconds,
            system_seconds=system_seconds,
        )

    def committed(self) -> Committed:
        """Return the state that the other ranks need to go on without rank 0."""
        counted, ledger = (self._attempt, self.rounds, self.shard, self.counted), self.ledger
        at_end = self._assigned_at, self._ended, self.kernels_right
        return Committed(*counted, ledger.sums(), *at_end, ledger.lost(), ledger.repairs)

    def take_over(self, committed: Committed, totals: Mapping[int, Row], sent_at: float) -> None:
        """Take over from a rank 0 that is lost, given a state and the `TOTALS` of the ranks left, by place.

        `sent_at` is the time at which rank 0 sent the state, in seconds of CLOCK_MONOTONIC.
        """
        self._attempt, self.rounds = committed.attempt, committed.rounds
        self.counted, self._contiguous = committed.counted, committed.shard.tally
        self.ledger.take_over(committed, totals)
        self._cpu_seconds = self.ledger.cpu_seconds() if self.rounds else None
        self._ended, self.kernels_right = committed.ended, committed.kernels_right
        self._assigned_at, self.start = committed.seconds, sent_at - committed.seconds
        self._startup_seconds = process.seconds_since_process_start(self.start)

    def start_anew(self) -> None:
        """Forget all rounds, in order to count them anew."""
        self._attempt, self.rounds, self._ended = self._attempt + 1, 0, False
        self.counted, self._contiguous, self._cpu_seconds = self._begun.tally, self._begun.tally, None
        self.ledger.forget_rounds()

    def go_on(
        self, members: Sequence[int], lost: Sequence[LostRank], redone_points: int, noticed_at: float
    ) -> None:
        """Continue with the members alone that are left, by their places, and record the loss of the others.

        `redone_points` will be counted anew, `noticed_at` is in seconds of CLOCK_MONOTONIC.
        """
        repair = Repair(
            lost=tuple(lost),
            round=self.rounds,
            seconds=max(noticed_at - self.start, 0.0) if self.start else 0.0,
            redone_points=redone_points,
            cost_seconds=self._seconds() - self._assigned_at if self.start else 0.0,
        )
        if lost:  # or else a rank was only slow
            self.ledger.record_loss(repair, sorted(set(range(len(self.ledger.threads))) - set(members)))
        self._members = np.array(members, np.int64)
        units = range(self.committed().next_unit, self._begun.units.stop)
        threads = self.ledger.threads[self._members]
        self._balancer = LoadBalancer(self._begun.job, units, threads, self._tuning)

    def _seconds(self) -> float:
        return time.clock_gettime(time.CLOCK_MONOTONIC) - self.start

    def _assign(self, last: bool = False) -> Row:
        self._assigned_at = self._seconds()
        assignments = np.zeros((len(self._members), len(Assignment)), np.int64)
        if not last:
            units, weights = self._balancer.next_round()
            places = offsets(self._begun.job, units, weights)
            self._assigned = np.diff(places)
            assignments[:, Assignment.UNITS] = len(units)
            assignments[:, Assignment.START] = places[:-1]
            assignments[:, Assignment.STOP] = places[1:]
        return assignments

    def _record(self, results: Row, sums: list[int], missing: bool) -> None:
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
            contiguous = tally.unpack(self._begun.job, exact_sums(results[:kept])[WorkResult.TALLY :])
        lost_units = units.copy()
        lost_units[:kept] = 0
        span = (self.rounds, self.rounds, self._assigned_at, self._seconds())
        self.ledger.record(self._members, results, span, lost_units)
        self.rounds += 1
        if kept:
            self._contiguous += contiguous
            self._cpu_seconds = self.ledger.cpu_seconds()
