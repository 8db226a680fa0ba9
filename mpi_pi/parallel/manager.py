"""Bookkeeping of rank 0: records the work results of a round, and assigns the next one. It needs no MPI.

After each round every rank sends rank 0 its work result, a row of 35 integers, and receives its next
assignment, a row of eight: a few hundred bytes for each rank, however many ranks there are.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.shard import Shard, Usage
from mpi_pi.parallel import messages
from mpi_pi.parallel.account import Row
from mpi_pi.parallel.ledger import Ledger, exact_sums
from mpi_pi.parallel.load_balancer import DEFAULT, LoadBalancer, Tuning
from mpi_pi.parallel.messages import (
    DISPUTE,
    EXPULSION,
    FAILS_ALONE,
    FAILURE,
    HALF,
    Assignment,
    WorkResult,
)
from mpi_pi.parallel.partition import offsets
from mpi_pi.system import process

if TYPE_CHECKING:
    from mpi_pi.parallel.audit_book import AuditBook


class Manager:
    """Record of what the ranks have counted of a shard. `threads` has the number of threads of each rank.

    If `expels`, a round in which some ranks fail alone ends in their expulsion. After a loss of ranks
    `members` are those left, by their places among all. `book` is for an audited run.
    """

    def __init__(
        self,
        shard: Shard,
        threads: Sequence[int],
        tuning: Tuning = DEFAULT,
        *,
        expels: bool = False,
        book: "AuditBook | None" = None,
    ) -> None:
        self.ledger, self.book = Ledger(threads), book
        self.counted = shard.tally
        """All units counted, including those beyond a gap that a rank left in a round cut short."""
        self.kernels_right = True
        self.rounds = 0
        self.members = np.arange(len(threads))
        self.attempt = 1
        self.begun = self.saved = shard
        self.remaining = shard.remaining
        self.cpu_seconds: tuple[float, float] | None = None  # before any round
        self._tuning, self._expels, self.ended = tuning, expels, False
        self.units, self.offsets = range(0), np.zeros(1, np.int64)
        """Units of this round, and the offsets of the members' pieces in it."""
        self.startup_seconds = self.assigned_at = 0.0
        self.start = 0.0
        """In seconds of CLOCK_MONOTONIC; `assigned_at` and the times of the timeline count from then on."""
        self.balance()

    @property
    def shard(self) -> Shard:
        """The shard with the tally of all units counted from its first one on without a gap."""
        if self.cpu_seconds is None:
            return self.saved
        return replace(self.saved, usage=self.usage(*self.cpu_seconds))

    @property
    def trusted(self) -> NDArray[np.bool_]:
        """The members that are not excluded, shape (members,)."""
        return self.book.ranks(self.members).trusted if self.book else np.ones(len(self.members), np.bool_)

    def begin(self) -> Row:
        """Return the first assignments, int64 (members, columns), of a run or after a loss of ranks."""
        if not self.start:
            self.start = time.clock_gettime(time.CLOCK_MONOTONIC)
            self.startup_seconds = process.seconds_since_process_start(self.start)
        return self._assign(last=self.ended)

    def next(self, results: Row) -> Row:
        """Record the work results of a round, int64 (members, columns), and return the next assignments."""
        sums, wrong = exact_sums(results), results[:, WorkResult.WRONG]
        stopped, done = sums[WorkResult.STOPPED] > 0, sums[WorkResult.UNITS]
        missing = done < len(self.units)
        unfit = wrong == FAILS_ALONE if self.book else wrong > 0
        leaving = int(unfit.sum()) if self._expels else 0
        if sums[WorkResult.FAILED] or (leaving == len(results) and missing and not stopped):
            return self._nothing(FAILURE)
        if 0 < leaving < len(results):
            return self._nothing(EXPULSION)
        if self.book and (sums[WorkResult.DIFFERENT] or wrong[self.trusted].any()):
            self.ended = stopped
            return self._nothing(DISPUTE)
        self._record(results, sums, missing)
        self.ended = stopped or missing
        assignments = self._assign(last=self.ended)
        assignments[:, [Assignment.STOPPED, Assignment.DONE]] = stopped, done
        return assignments

    def usage(self, user_seconds: float, system_seconds: float, now: float | None = None) -> Usage:
        """Return the usage of this run and of those that it resumes, given the CPU time of its ranks.

        `now` is in seconds of CLOCK_MONOTONIC, by default the present.
        """
        seconds = self.seconds() if now is None else now - self.start
        return self.begun.usage + Usage(
            runs=1,
            rounds=self.rounds,
            real_seconds=self.startup_seconds + seconds,
            round_seconds=seconds,
            core_seconds=self.ledger.core_seconds,
            user_seconds=user_seconds,
            system_seconds=system_seconds,
            recounted_units=self.book.recounted_units if self.book else 0,
        )

    def seconds(self) -> float:
        """Return the seconds since the first assignments."""
        return time.clock_gettime(time.CLOCK_MONOTONIC) - self.start

    def balance(self) -> None:
        """Start anew to find out the rates of the members."""
        threads = self.ledger.threads[self.members]
        self._balancer = LoadBalancer(self.begun.job, self.remaining, threads, self._tuning)

    def _nothing(self, failed: int = 0) -> Row:
        """Return assignments without units."""
        assignments = np.zeros((len(self.members), len(Assignment)), np.int64)
        assignments[:, Assignment.FAILED] = failed
        return assignments

    def _assign(self, last: bool = False) -> Row:
        self.assigned_at = self.seconds()
        assignments = self._nothing()
        self.units, self.offsets = range(0), np.zeros(len(self.members) + 1, np.int64)
        if not last:
            self.units, weights = self._balancer.next_round(self._active())
            self.offsets = offsets(self.begun.job, self.units, weights)
            first = divmod(self.units.start, HALF)
            assignments[:, [Assignment.FIRST_HIGH, Assignment.FIRST_LOW]] = first
            assignments[:, Assignment.UNITS] = len(self.units)
            assignments[:, Assignment.START] = self.offsets[:-1]
            assignments[:, Assignment.STOP] = self.offsets[1:]
        return assignments

    def _active(self) -> NDArray[np.bool_] | None:
        """Return which members count in the next round; None if all do."""
        if self._tuning.active is None:
            return self.trusted if self.book else None
        active = np.array(self._tuning.active(self.rounds), np.bool_)[self.members] & self.trusted
        return active if active.any() else self.trusted

    def audit_head(self) -> Row | None:
        """Return the message on the audit of the round just assigned; None if the run is not audited."""
        apart = self._tuning.active is not None
        return self.book.head(apart, self.members, self.offsets) if self.book else None

    def _record(self, results: Row, sums: list[int], missing: bool) -> None:
        columns = [WorkResult.UNITS, WorkResult.POINTS, WorkResult.COUNT_NS, WorkResult.WAIT_NS]
        units, points, count_nanoseconds, wait_nanoseconds = results.T[columns]
        self._balancer.update(points, count_nanoseconds, wait_nanoseconds)
        counted = messages.unpack(self.begun.job, sums[WorkResult.TALLY :])
        self.counted += counted
        rest = range(self.units.stop, self.remaining[0].stop)
        self.remaining = (rest, *self.remaining[1:]) if rest else self.remaining[1:]
        proven = self.book.record(self.members, results) if self.book else False
        # Excluded ranks count nothing.
        self.kernels_right = self.kernels_right and not (sums[WorkResult.WRONG] and not self.book)
        # No run shall resume from what may be wrong.
        kept, contiguous = len(units) if self.kernels_right else 0, counted
        if kept and missing:
            # A rank counts its units from the first on, so the first rank with too few is the last to keep.
            kept = int(np.argmax(units < np.diff(self.offsets))) + 1
            contiguous = messages.unpack(self.begun.job, exact_sums(results[:kept])[WorkResult.TALLY :])
        lost_units = units.copy()
        lost_units[:kept] = 0
        span = (self.rounds, self.rounds, self.assigned_at, self.seconds())
        self.ledger.record(self.members, results, span, lost_units)
        self.rounds += 1
        if kept:
            before = self.saved
            self.saved = before.after(contiguous, proven)
            self.cpu_seconds = self.ledger.cpu_seconds()
            if self.book and self.saved.proven.units == before.proven.units:
                self.book.record_origins(self.saved, self.units.start, self.members, results)
