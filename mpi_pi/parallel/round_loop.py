"""The rounds of a run on every rank: get an assignment, count, send the work result, until nothing is left.

An error of one rank reaches the others in the next exchange, and is raised on all.
"""

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpi_pi import timestamps
from mpi_pi.model import tally
from mpi_pi.model.tally import Tally
from mpi_pi.mpi.collectives import CollectiveError, raise_on_all
from mpi_pi.mpi.heartbeat import HeartbeatTimeout
from mpi_pi.mpi.requests import wait
from mpi_pi.mpi.stop import FAILED, StopRequest
from mpi_pi.parallel.hooks import Hooks, Round
from mpi_pi.parallel.load_balancer import Tuning
from mpi_pi.parallel.manager import WORK_RESULT_COLUMNS, Assignment, Manager, WorkResult
from mpi_pi.parallel.team import Team
from mpi_pi.parallel.threads import ThreadTeam
from mpi_pi.system import process

if TYPE_CHECKING:
    from mpi4py import MPI

Row = NDArray[np.int64]


class RoundLoop:
    """The rounds of a run of `team`. `signals` is a communicator for stop requests alone. Collective."""

    def __init__(self, team: Team, signals: "MPI.Intracomm", hooks: Hooks, tuning: Tuning) -> None:
        self._team, self._comm, self._hooks = team, team.comm, hooks
        self._job, self._next_unit = team.shard.job, team.shard.remaining.start
        self._stop = hooks.stop or StopRequest()
        self._stop.connect(signals)
        self._threads = ThreadTeam(team.kernel, team.stats.info.threads, self.poll)
        threads = [rank.info.threads for rank in team.ranks]
        self.manager = Manager(team.shard, threads, tuning) if threads else None
        """The manager on rank 0; None elsewhere."""
        self.rounds = 0
        self.own = np.zeros(4, np.int64)
        """Units, points, hits and nanoseconds of counting of this rank."""
        self.kernel_right = True
        self.problem: BaseException | None = None
        """An error of this rank, which the next exchange tells the others."""
        self._wait_nanoseconds = 0

    def run(self) -> float:
        """Count all rounds; return the seconds from the first assignment to the end of the last round."""
        timestamps.mark("start")
        start = time.perf_counter()
        assignment = self._next_assignment(None)
        while assignment[Assignment.UNITS]:
            assignment = self._round(assignment)
        timestamps.mark("end")
        # An error of `on_round` after the last round has not reached the others yet.
        raise_on_all(self._comm, self.problem, self.poll)
        return time.perf_counter() - start

    def close(self) -> None:
        """End threads and the exchange of stop requests. Collective."""
        self._threads.close()
        self._stop.disconnect(self.poll)

    def poll(self) -> bool:
        """Poll heartbeat and stop request; return whether to stop. Raises HeartbeatTimeout."""
        self._team.heartbeat.check()
        if self._hooks.on_idle:
            self._hooks.on_idle()
        return self._stop.poll()

    def _round(self, assignment: Row) -> Row:
        """Count a round, and return the assignment for the next."""
        start = time.perf_counter_ns()
        units = range(self._next_unit, self._next_unit + int(assignment[Assignment.UNITS]))
        own = units[int(assignment[Assignment.START]) : int(assignment[Assignment.STOP])]
        counted, hits, right, end = self._count(own)
        reported = time.perf_counter_ns()
        row = self._work_result(counted, end - start, right)
        rows = np.empty((self._comm.size, len(row)), np.int64) if self.manager else None
        wait(self._comm.Igather(row, rows), self.poll)
        assignment = self._next_assignment(rows)
        self._wait_nanoseconds = time.perf_counter_ns() - reported

        if assignment[Assignment.FAILED]:
            raise_on_all(self._comm, self.problem, self.poll)
        self.own += [counted.units, counted.points, counted.hits, end - start]
        self.kernel_right = self.kernel_right and right
        self.rounds += 1
        self._next_unit = units.stop
        if assignment[Assignment.DONE] == len(units):
            self._call_on_round(units, rows, hits)
        elif not assignment[Assignment.STOPPED]:
            done = f"{assignment[Assignment.DONE]} of the {len(units)} units"
            raise CollectiveError(f"only {done} of a round were counted")
        return assignment

    def _count(self, units: range) -> tuple[Tally, Row, bool, int]:
        """Count units; return tally and hits, whether the kernel is still right, and when counting ended."""
        end = time.perf_counter_ns()
        counted, hits, right = Tally(), np.zeros(0, np.int64), True
        if self.problem is None:
            try:
                counted, hits = self._threads.count(self._job, units, self._hooks.unit_hits)
                end = time.perf_counter_ns()
                right = self._team.kernel.self_test()
            except HeartbeatTimeout:
                raise
            except BaseException as error:
                self.problem = error
        if self.problem is not None:
            self._stop.request(FAILED)
        return counted, hits, right, end

    def _work_result(self, counted: Tally, count_nanoseconds: int, right: bool) -> Row:
        row = np.zeros(WORK_RESULT_COLUMNS, np.int64)
        row[WorkResult.FAILED] = self.problem is not None
        row[WorkResult.STOPPED] = self._stop.requested
        row[WorkResult.WRONG] = not right
        row[WorkResult.POINTS] = counted.points
        row[WorkResult.COUNT_NS] = count_nanoseconds
        row[WorkResult.WAIT_NS] = self._wait_nanoseconds
        row[WorkResult.UNITS] = counted.units
        row[WorkResult.USER_NS : WorkResult.TALLY] = process.usage()
        row[WorkResult.TALLY :] = tally.pack(self._job, counted)
        return row

    def _next_assignment(self, rows: Row | None) -> Row:
        """Return the next assignment of this rank, made on rank 0 from the work results of all ranks."""
        assignments = None
        if self.manager:
            assignments = self.manager.begin() if rows is None else self.manager.next(rows)
        assignment = np.empty(len(Assignment), np.int64)
        wait(self._comm.Iscatter(assignments, assignment), self.poll)
        return assignment

    def _call_on_round(self, units: range, rows: Row | None, hits: Row) -> None:
        """Call `on_round`; an error of it reaches the other ranks in the next exchange."""
        if self._hooks.on_round is None:
            return
        unit_hits = None
        if self._hooks.unit_hits:
            unit_hits = None if rows is None else np.empty(len(units), np.int64)
            received = None if rows is None else [unit_hits, rows[:, WorkResult.UNITS].tolist()]
            wait(self._comm.Igatherv(hits, received), self.poll)
        try:
            shard = self.manager.shard if self.manager else None
            self._hooks.on_round(Round(self.rounds - 1, units, shard, unit_hits))
        except BaseException as error:
            self.problem = error
