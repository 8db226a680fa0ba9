"""What rank 0 keeps of a run: who has counted what, and who counts what next. Rows in, rows out, and no MPI.

After each round every rank sends rank 0 a report, a row of 32 integers, and gets back its next order, one of
six. So a rank sends and receives a few hundred bytes a round, however many ranks there are.
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
from mpi_pi.model.tally import Tally
from mpi_pi.parallel.load_balancer import LoadBalancer, cuts
from mpi_pi.system import process


class WorkResult(IntEnum):
    """Columns of a rank's report on a round."""

    FAILED = 0
    STOPPED = 1
    """The rank has heard the bell."""
    WRONG = 2
    """Its kernel no longer counts the known answers."""
    POINTS = 3
    COUNT_NS = 4
    WAIT_NS = 5
    """In the round before this one."""
    UNITS = 6
    USER_NS = 7
    """CPU time of the process so far; likewise the next."""
    SYSTEM_NS = 8
    PEAK_BYTES = 9
    """The most memory that the process has had so far."""
    TALLY = 10
    """The first of `tally.COLUMNS`, see `tally.pack`."""


REPORT_COLUMNS = WorkResult.TALLY + tally.COLUMNS


class Assignment(IntEnum):
    """Columns of what rank 0 tells a rank before each round."""

    FAILED = 0
    """Whether a rank has failed in the round before this one; likewise the next two."""
    STOPPED = 1
    DONE = 2
    """How many units were counted."""
    UNITS = 3
    """Units in the round to come; 0 if there is none."""
    START = 4
    """The first unit of the rank's share, from the first one of the round on."""
    STOP = 5


class Manager:
    """The books of a run over a part of a job. `threads` has the number of threads of each rank."""

    def __init__(self, part: Shard, threads: Sequence[int], most_units: int | None) -> None:
        self.counted = part.tally
        """Everything counted, what lies beyond a gap too."""
        self.kernels_right = True
        self.timeline = Timeline()
        self.rounds = 0
        self._begun = part
        self._in_line = part.tally
        self._cpu_seconds: tuple[float, float] | None = None
        """User and system, of all ranks so far; None before any round."""
        self._threads = np.array(threads, np.int64)
        self._schedule = LoadBalancer(part.job, part.remaining, self._threads, most_units)
        self._shares = np.zeros(len(self._threads), np.int64)
        """Units that each rank was told to count."""
        self._own = np.zeros((len(self._threads), 4), np.int64)
        """Units, points, hits and nanoseconds of counting of each rank."""
        self._right = np.ones(len(self._threads), np.bool_)
        """Whose kernel has counted the known answers after each round."""
        self._last_reports: NDArray[np.int64] | None = None
        self._core_seconds = 0.0
        self._startup_seconds = 0.0
        """Wall time from the start of the process to the first orders."""
        self._start = 0.0
        self._ordered_at = 0.0
        """When the round began, since the first one did."""

    @property
    def part(self) -> Shard:
        """How far the part has got, from its first unit on."""
        if self._cpu_seconds is None:
            return self._begun
        return replace(self._begun, tally=self._in_line, usage=self.spent(*self._cpu_seconds))

    def begin(self) -> NDArray[np.int64]:
        """The first orders, shape (ranks, columns)."""
        self._start = time.clock_gettime(time.CLOCK_MONOTONIC)
        self._startup_seconds = process.seconds_since_process_start(self._start)
        return self._orders()

    def _seconds(self) -> float:
        return time.clock_gettime(time.CLOCK_MONOTONIC) - self._start

    def next(self, reports: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take in the reports of a round, shape (ranks, columns); the orders for the next."""
        sums = _exact_sums(reports)
        if sums[WorkResult.FAILED]:
            orders = np.zeros((len(reports), len(Assignment)), np.int64)
            orders[:, Assignment.FAILED] = True
            return orders
        stopped, done = sums[WorkResult.STOPPED] > 0, sums[WorkResult.UNITS]
        missing = done < int(self._shares.sum())
        self._take_in(reports, sums, missing)
        orders = self._orders(last=stopped or missing)
        orders[:, Assignment.STOPPED] = stopped
        orders[:, Assignment.DONE] = done
        return orders

    def rows(self, before: Sequence[RankStats]) -> tuple[RankStats, ...]:
        """What each rank did, given its row from before the first round."""
        if self._last_reports is None:
            return tuple(before)
        seconds = self.timeline.records[-1].end_seconds
        columns = [WorkResult.USER_NS, WorkResult.SYSTEM_NS, WorkResult.PEAK_BYTES]
        return tuple(
            replace(
                row,
                units=units,
                points=points,
                hits=hits,
                kernel_right=right,
                count_seconds=nanoseconds / 1e9,
                wait_seconds=max(seconds - nanoseconds / 1e9, 0.0),
                user_seconds=user / 1e9,
                system_seconds=system / 1e9,
                peak_memory_bytes=peak,
            )
            for row, (units, points, hits, nanoseconds), right, (user, system, peak) in zip(
                before,
                self._own.tolist(),
                self._right.tolist(),
                self._last_reports[:, columns].tolist(),
                strict=True,
            )
        )

    def spent(self, user_seconds: float, system_seconds: float, now: float | None = None) -> Usage:
        """What the run has cost so far, and those that it went on from, given the CPU time of all ranks.

        `now` is of CLOCK_MONOTONIC, if it has been looked at.
        """
        seconds = self._seconds() if now is None else now - self._start
        return self._begun.usage + Usage(
            runs=1,
            rounds=self.rounds,
            real_seconds=self._startup_seconds + seconds,
            round_seconds=seconds,
            core_seconds=self._core_seconds,
            user_seconds=user_seconds,
            system_seconds=system_seconds,
        )

    def _orders(self, last: bool = False) -> NDArray[np.int64]:
        self._ordered_at = self._seconds()
        orders = np.zeros((len(self._threads), len(Assignment)), np.int64)
        if last:
            return orders
        units, weights = self._schedule.next_round()
        cut = cuts(self._begun.job, units, weights)
        self._shares = cut[1:] - cut[:-1]
        orders[:, Assignment.UNITS] = len(units)
        orders[:, Assignment.START] = cut[:-1]
        orders[:, Assignment.STOP] = cut[1:]
        return orders

    def _take_in(self, reports: NDArray[np.int64], sums: list[int], missing: bool) -> None:
        columns = [WorkResult.UNITS, WorkResult.POINTS, WorkResult.COUNT_NS, WorkResult.WAIT_NS]
        units, points, count_nanoseconds, wait_nanoseconds = reports.T[columns]
        self._schedule.learn(points, count_nanoseconds, wait_nanoseconds)
        counted = self._tally(sums)
        self.counted += counted
        self.kernels_right = self.kernels_right and not sums[WorkResult.WRONG]
        # Nobody shall go on from what may be wrong.
        kept, in_line = len(units) if self.kernels_right else 0, counted
        if kept and missing:
            kept = self._ranks_in_line(units)
            in_line = self._tally(_exact_sums(reports[:kept]))
        lost_units = units.copy()
        lost_units[:kept] = 0
        self.timeline.append(
            RoundRecord(
                *(self.rounds, self.rounds, self._ordered_at, self._seconds(), counted.hits),
                *(units, points, count_nanoseconds, lost_units),
            )
        )
        self.rounds += 1
        hits = tally.packed_hits(reports[:, WorkResult.TALLY :])
        self._own += np.stack([units, points, hits, count_nanoseconds], axis=1)
        self._right &= reports[:, WorkResult.WRONG] == 0
        self._last_reports = reports
        self._core_seconds += float(count_nanoseconds @ (self._threads / 1e9))
        if kept:
            self._in_line += in_line
            self._cpu_seconds = sums[WorkResult.USER_NS] / 1e9, sums[WorkResult.SYSTEM_NS] / 1e9

    def _tally(self, sums: list[int]) -> Tally:
        return tally.unpack(self._begun.job, sums[WorkResult.TALLY :])

    def _ranks_in_line(self, units: NDArray[np.int64]) -> int:
        """How many ranks, from the first on, have counted units that follow on each other without a gap."""
        # A rank counts its share from the front.
        short: NDArray[np.intp] = np.flatnonzero(units < self._shares)
        return int(short[0]) + 1 if len(short) else len(units)


def _exact_sums(reports: NDArray[np.int64]) -> list[int]:
    """The sums of the columns, which may be more than 64 bits hold."""
    high, low = (reports >> 32).sum(axis=0).tolist(), (reports & 0xFFFFFFFF).sum(axis=0).tolist()
    return [(above << 32) + below for above, below in zip(high, low, strict=True)]
