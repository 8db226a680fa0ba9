"""What rank 0 keeps of a run: who has counted what, and who counts what next. Rows in, rows out, and no MPI.

After each round every rank sends rank 0 a report, a row of 15 integers, and gets back its next order, one of
six. So a rank sends and receives a few hundred bytes a round, however many ranks there are.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mpi_pi import launcher, tally
from mpi_pi.part import Part, Spent
from mpi_pi.result import Timeline, TimelineRow
from mpi_pi.schedule import Schedule, deal
from mpi_pi.tally import Tally


class Report(IntEnum):
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
    TALLY = 9
    """The first of six columns, see `tally.pack`."""


REPORT_COLUMNS = Report.TALLY + 6


class Order(IntEnum):
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


class Planner:
    """The books of a run over a part of a job. `threads` has the number of threads of each rank."""

    def __init__(self, part: Part, threads: Sequence[int], most_units: int | None) -> None:
        self.part = part
        """How far the part has got, from its first unit on."""
        self.counted = part.tally
        """Everything counted, what lies beyond a gap too."""
        self.kernels_right = True
        self.timeline = Timeline()
        self.rounds = 0
        self._before = part.spent
        self._threads = np.array(threads, np.int64)
        self._schedule = Schedule(part.job, part.left, self._threads, most_units)
        self._shares: list[range] = []
        self._core_seconds = 0.0
        self._start = 0.0
        self._ordered_at = 0.0
        """When the round began, since the first one did."""

    def begin(self) -> NDArray[np.int64]:
        """The first orders, shape (ranks, columns)."""
        self._start = time.perf_counter()
        return self._orders()

    def _seconds(self) -> float:
        return time.perf_counter() - self._start

    def next(self, reports: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take in the reports of a round, shape (ranks, columns); the orders for the next."""
        if reports[:, Report.FAILED].any():
            orders = np.zeros((len(reports), len(Order)), np.int64)
            orders[:, Order.FAILED] = True
            return orders
        self._take_in(reports)
        stopped = bool(reports[:, Report.STOPPED].any())
        done = int(reports[:, Report.UNITS].sum())
        orders = self._orders(last=stopped or done < sum(map(len, self._shares)))
        orders[:, Order.STOPPED] = stopped
        orders[:, Order.DONE] = done
        return orders

    def spent(self, user_seconds: float, system_seconds: float) -> Spent:
        """What the run has cost so far, and those that it went on from, given the CPU time of all ranks."""
        return self._before + Spent(
            runs=1,
            rounds=self.rounds,
            real_seconds=launcher.seconds_since_process_start(),
            round_seconds=self._seconds(),
            core_seconds=self._core_seconds,
            user_seconds=user_seconds,
            system_seconds=system_seconds,
        )

    def _orders(self, last: bool = False) -> NDArray[np.int64]:
        self._ordered_at = self._seconds()
        orders = np.zeros((len(self._threads), len(Order)), np.int64)
        if last:
            return orders
        units, weights = self._schedule.next_round()
        self._shares = deal(self.part.job, units, weights)
        orders[:, Order.UNITS] = len(units)
        orders[:, Order.START] = [share.start - units.start for share in self._shares]
        orders[:, Order.STOP] = [share.stop - units.start for share in self._shares]
        return orders

    def _take_in(self, reports: NDArray[np.int64]) -> None:
        columns = Report.POINTS, Report.COUNT_NS, Report.WAIT_NS
        points, count_nanoseconds, wait_nanoseconds = (reports[:, column] for column in columns)
        units = reports[:, Report.UNITS]
        self._schedule.learn(points, count_nanoseconds, wait_nanoseconds)
        counted = self._sum(reports)
        self.kernels_right = self.kernels_right and not reports[:, Report.WRONG].any()
        # Nobody shall go on from what may be wrong.
        kept = self._ranks_in_line(units) if self.kernels_right else 0
        lost_units = np.where(np.arange(len(units)) < kept, 0, units)
        self.timeline.append(
            TimelineRow(
                *(self.rounds, self.rounds, self._ordered_at, self._seconds(), counted.hits),
                *(units, points, count_nanoseconds, lost_units),
            )
        )
        self.rounds += 1
        self._core_seconds += float((count_nanoseconds / 1e9 * self._threads).sum())
        self.counted += counted
        if kept:
            user, system = (reports[:, [Report.USER_NS, Report.SYSTEM_NS]] / 1e9).sum(axis=0).tolist()
            in_line = self._sum(reports[:kept])
            self.part = replace(self.part, tally=self.part.tally + in_line, spent=self.spent(user, system))

    def _sum(self, reports: NDArray[np.int64]) -> Tally:
        sums = reports[:, Report.TALLY :].astype(object).sum(axis=0)  # Python integers: no overflow
        return tally.unpack(self.part.job, sums)

    def _ranks_in_line(self, units: NDArray[np.int64]) -> int:
        """How many ranks, from the first on, have counted units that follow on each other without a gap."""
        for rank, (done, share) in enumerate(zip(units.tolist(), self._shares, strict=True)):
            if done < len(share):
                return rank + 1  # a rank counts its share from the front
        return len(units)
