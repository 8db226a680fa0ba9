"""The rounds of a run on every rank: get an assignment, count, send the work result, until nothing is left.

An error of one rank reaches the others in the next exchange, and is raised on all. In a run that survives
the loss of ranks, that rank leaves, and the others get a RankLoss, from which `parallel.recovery` goes on.
"""

import time
from typing import TYPE_CHECKING

import numpy as np

from mpi_pi import timestamps
from mpi_pi.errors import MpiPiError
from mpi_pi.model import tally
from mpi_pi.model.tally import Tally
from mpi_pi.mpi import ulfm
from mpi_pi.mpi.collectives import CollectiveError, allgather, bcast, raise_on_all
from mpi_pi.mpi.peer_timeout import RankLoss
from mpi_pi.mpi.requests import wait
from mpi_pi.mpi.stop import FAILED, StopRequest
from mpi_pi.parallel.account import Account, Row
from mpi_pi.parallel.hooks import Hooks, Round
from mpi_pi.parallel.manager import Manager
from mpi_pi.parallel.messages import EXPULSION, WORK_RESULT_COLUMNS, Assignment, WorkResult
from mpi_pi.parallel.team import Team
from mpi_pi.parallel.threads import ThreadTeam
from mpi_pi.system import process

if TYPE_CHECKING:
    from mpi4py import MPI


class RoundLoop:
    """The rounds of a run of `team`. `signals` is a communicator for stop requests alone. Collective.

    `account` is what this rank has counted before, and `manager`, on rank 0 only, what all ranks have.
    """

    def __init__(
        self, team: Team, signals: "MPI.Intracomm", hooks: Hooks, account: Account, manager: Manager | None
    ) -> None:
        self._team, self._comm, self._hooks = team, team.comm, hooks
        self.account, self.manager = account, manager
        self._job, self._next_unit, self.rounds = team.shard.job, 0, account.committed.rounds
        self._stop = hooks.stop or StopRequest()
        self._stop.connect(signals)
        self.threads = ThreadTeam(team.kernel, team.stats.info.threads, self.poll)
        self.kernel_right = True
        self.problem: BaseException | None = None
        """An error of this rank, which the next exchange tells the others."""
        self._wait_nanoseconds = 0

    def run(self) -> float:
        """Count all rounds; return the seconds from the first assignment to the end of the last round."""
        if not self.rounds:
            timestamps.mark("start")
        start = time.perf_counter()
        with ulfm.losses():
            assignment = self._next_assignment(None)
            committed = self.account.committed
            self._next_unit, self.rounds = committed.next_unit, committed.rounds
            while assignment[Assignment.UNITS]:
                assignment = self._round(assignment)
            timestamps.mark("end")
            # An error of `on_round` after the last round has not reached the others yet.
            self._raise_problem()
        return time.perf_counter() - start

    def close(self) -> None:
        """End threads and the exchange of stop requests. Collective."""
        self.threads.close()
        self._stop.disconnect(self.poll)

    def poll(self) -> bool:
        """Poll heartbeat and stop request; return whether to stop. Raises RankLoss, or what MPI raises."""
        self._team.heartbeat.check()
        if self._hooks.on_idle:
            self._hooks.on_idle()
        return self._stop.poll()

    def _round(self, assignment: Row) -> Row:
        """Count a round, and return the assignment for the next."""
        start = time.perf_counter_ns()
        units = range(self._next_unit, self._next_unit + int(assignment[Assignment.UNITS]))
        own = units[int(assignment[Assignment.START]) : int(assignment[Assignment.STOP])]
        self.account.assigned_points = self._job.points_in(units)
        counted, hits, right, end = self._count(own)
        reported = time.perf_counter_ns()
        row = self._work_result(counted, end - start, right)
        self.account.report(row)
        rows = np.empty((self._comm.size, len(row)), np.int64) if self.manager else None
        wait(self._comm.Igather(row, rows), self.poll)
        unit_hits = self._gather_hits(len(units), rows, hits)
        try:
            assignment = self._next_assignment(rows)
        except BaseException:
            # Rank 0 has recorded the round, and will go on from it, though other ranks may not know of it.
            if self.manager and rows is not None and self.manager.rounds > self.rounds:
                self._finish_round(units, int(rows[:, WorkResult.UNITS].sum()), unit_hits)
            raise
        self._wait_nanoseconds = time.perf_counter_ns() - reported

        if assignment[Assignment.FAILED]:
            self._leave(assignment, right)
        if not self._team.survives:
            self.account.confirm()
        self.kernel_right = self.kernel_right and right
        self._finish_round(units, int(assignment[Assignment.DONE]), unit_hits)
        self._next_unit = units.stop
        if assignment[Assignment.DONE] < len(units) and not assignment[Assignment.STOPPED]:
            done = f"{assignment[Assignment.DONE]} of the {len(units)} units"
            raise CollectiveError(f"only {done} of a round were counted")
        return assignment

    def _count(self, units: range) -> tuple[Tally, Row, bool, int]:
        """Count units; return tally and hits, whether the kernel is still right, and when counting ended."""
        end = time.perf_counter_ns()
        counted, hits, right = Tally(), np.zeros(0, np.int64), True
        if self.problem is None:
            try:
                with ulfm.losses():
                    counted, hits = self.threads.count(self._job, units, self._hooks.unit_hits)
                end = time.perf_counter_ns()
                right = self._team.kernel.self_test()
            except RankLoss:
                raise
            except BaseException as error:
                self.problem = error
        if self.problem is not None and not self._fails_alone:
            self._stop.request(FAILED)
        return counted, hits, right, end

    @property
    def _fails_alone(self) -> bool:
        """True if an error of this rank is no reason for the others to end."""
        may_leave = self._team.survives and self._comm.size > 1
        return may_leave and isinstance(self.problem, Exception) and not isinstance(self.problem, MpiPiError)

    def _work_result(self, counted: Tally, count_nanoseconds: int, right: bool) -> Row:
        row = np.zeros(WORK_RESULT_COLUMNS, np.int64)
        row[WorkResult.FAILED] = self.problem is not None and not self._fails_alone
        row[WorkResult.STOPPED] = self._stop.requested
        row[WorkResult.WRONG] = not right or self._fails_alone
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
        if self._team.survives:
            state = self.manager.committed() if self.manager else None
            committed = bcast(self._comm, state, self.poll)
            self.account.commit(committed, time.clock_gettime(time.CLOCK_MONOTONIC))
        assignment = np.empty(len(Assignment), np.int64)
        wait(self._comm.Iscatter(assignments, assignment), self.poll)
        return assignment

    def _leave(self, assignment: Row, right: bool) -> None:
        """Raise after a round in which ranks have failed: on all ranks, or on those that are to leave."""
        if assignment[Assignment.FAILED] != EXPULSION:
            raise_on_all(self._comm, self.problem, self.poll)
        if right:
            raise self.problem or RankLoss("a rank has left the run after an error")
        raise RuntimeError(f"kernel {self._team.kernel.name} got known answers wrong after counting")

    def _raise_problem(self) -> None:
        """Raise the errors of ranks after the last round, if there are any."""
        if self._team.survives:
            leaving = allgather(self._comm, np.array([self._fails_alone], np.int64), self.poll)
            if leaving.any() and not leaving.all():
                raise self.problem or RankLoss("a rank leaves the run after an error")
        raise_on_all(self._comm, self.problem, self.poll)

    def _gather_hits(self, units: int, rows: Row | None, hits: Row) -> Row | None:
        """Return the hits of the units of a round, int64 (units,), on rank 0 and if the caller wants them."""
        if self._hooks.on_round is None or not self._hooks.unit_hits:
            return None
        unit_hits = None if rows is None else np.zeros(units, np.int64)
        received = None if rows is None else [unit_hits, rows[:, WorkResult.UNITS].tolist()]
        wait(self._comm.Igatherv(hits, received), self.poll)
        return unit_hits

    def _finish_round(self, units: range, done: int, unit_hits: Row | None) -> None:
        """Record the end of a round, and call `on_round`; the next exchange tells the others of its error."""
        self.rounds += 1
        if self._hooks.on_round is None or done < len(units):
            return
        try:
            shard = self.manager.shard if self.manager else None
            self._hooks.on_round(Round(self.rounds - 1, units, shard, unit_hits))
            if unit_hits is not None:
                self.account.logged_rounds = self.rounds
        except BaseException as error:
            self.problem = error
