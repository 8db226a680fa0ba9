"""The rounds of a run on every rank: get an assignment, count, send the work result, until nothing is left.

An error of one rank reaches the others in the next exchange, and is raised on all. In a run that survives
the loss of ranks, that rank leaves, and the others get a RankLoss, from which `parallel.recovery` goes on.
"""

import time
from typing import TYPE_CHECKING

import numpy as np

from mpi_pi import timestamps
from mpi_pi.model.tally import Tally
from mpi_pi.mpi import ulfm
from mpi_pi.mpi.collectives import CollectiveError, bcast
from mpi_pi.mpi.requests import wait
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.parallel import messages, repair
from mpi_pi.parallel.account import Account, Row
from mpi_pi.parallel.hooks import Hooks, Round
from mpi_pi.parallel.manager import Manager
from mpi_pi.parallel.messages import Assignment, WorkResult
from mpi_pi.parallel.problem import Problem
from mpi_pi.parallel.team import Team
from mpi_pi.parallel.threads import ThreadTeam
from mpi_pi.system import process

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.parallel.auditor import Audited, Auditor


class RoundLoop:
    """The rounds of a run of `team`. `signals` is a communicator for stop requests alone. Collective.

    `account` is what this rank has counted before, and `manager`, on rank 0 only, what all ranks have.
    """

    def __init__(
        self, team: Team, signals: "MPI.Intracomm", hooks: Hooks, account: Account, manager: Manager | None
    ) -> None:
        self._team, self._comm, self._hooks = team, team.comm, hooks
        self.account, self.manager = account, manager
        self._job, self.rounds = team.shard.job, account.committed.rounds
        self._stop = hooks.stop or StopRequest()
        self._stop.connect(signals)
        self.threads = ThreadTeam(team.kernel, team.stats.info.threads, self.poll)
        self._auditor = self._new_auditor()
        self.kernel_right = True
        self.problem = Problem(team, self._stop, self.poll)
        self._wait_nanoseconds = 0

    def run(self) -> float:
        """Count all rounds; return the seconds from the first assignment to the end of the last round."""
        if not self.rounds:
            timestamps.mark("start")
        start = time.perf_counter()
        with ulfm.losses():
            assignment = self._next_assignment(None)
            self.rounds = self.account.committed.rounds
            while assignment[Assignment.UNITS]:
                assignment = self._round(assignment)
            timestamps.mark("end")
            # An error of `on_round` after the last round has not reached the others yet.
            self.problem.raise_at_end()
        return time.perf_counter() - start

    def close(self) -> None:
        """End threads and the exchange of stop requests. Collective."""
        self.threads.close()
        self._stop.disconnect(self.poll)

    def _new_auditor(self) -> "Auditor | None":
        if not self._team.audit:
            return None
        from mpi_pi.parallel.auditor import auditor_of  # for audited runs alone

        return auditor_of(self._team, self.manager, self.poll)

    def poll(self) -> bool:
        """Poll heartbeat and stop request; return whether to stop. Raises RankLoss, or what MPI raises."""
        self._team.heartbeat.check()
        if self._hooks.on_idle:
            self._hooks.on_idle()
        return self._stop.poll()

    def _round(self, assignment: Row) -> Row:
        """Count a round, and return the assignment for the next."""
        start, units = process.clocks(), messages.units_of_round(assignment)
        own = units[int(assignment[Assignment.START]) : int(assignment[Assignment.STOP])]
        self.account.assigned_points = self._job.points_in(units)
        counted, hits, right = self._count(own, units)
        nanoseconds = np.subtract(self._counted_at, start) if own else np.zeros(2, np.int64)
        audited = self._audit(own, units, hits)
        reported = time.perf_counter_ns()
        row = self._work_result(counted, nanoseconds, right, audited)
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

        if assignment[Assignment.FAILED] == messages.DISPUTE:
            return self._settle(audited, right)
        if assignment[Assignment.FAILED]:
            self.problem.leave(int(assignment[Assignment.FAILED]), right)
        if not self._team.survives:
            self.account.confirm()
        self.kernel_right = self.kernel_right and right
        self._finish_round(units, int(assignment[Assignment.DONE]), unit_hits)
        if assignment[Assignment.DONE] < len(units) and not assignment[Assignment.STOPPED]:
            done = f"{assignment[Assignment.DONE]} of the {len(units)} units"
            raise CollectiveError(f"only {done} of a round were counted")
        return assignment

    def _count(self, own: range, units: range) -> tuple[Tally, Row, bool]:
        """Count the `own` ones of the units of a round; return tally, hits, and whether the kernel is right.

        The hits are those of all own units if the caller wants them, otherwise of those to be audited.
        """
        counted, hits, right = Tally(), np.zeros(0, np.int64), True
        self._counted_at = process.clocks()
        if self.problem.error is None:
            with self.problem.noted():
                keep = self._auditor.own_runs(units) if self._auditor else []
                counted, hits = self.threads.count(self._job, own, [own] if self._hooks.unit_hits else keep)
                self._counted_at = process.clocks()
                right = self._team.kernel.self_test()
        return counted, hits, right

    def _audit(self, own: range, units: range, hits: Row) -> "Audited | None":
        """Audit units of other ranks in a round, even after an error, since those wait for hits."""
        audited, start = None, time.perf_counter_ns()
        if self._auditor:
            hits = self._auditor.hits_of_runs(units, own, hits) if self._hooks.unit_hits else hits
            with self.problem.noted():
                audited = self._auditor.audit(units, hits, None if self.problem.error else self.threads)
            self.account.audit_nanoseconds += time.perf_counter_ns() - start
        return audited

    def _settle(self, audited: "Audited | None", right: bool) -> Row:
        """Settle disputes about hits with all ranks, and return the next assignment."""
        from mpi_pi.parallel.settlement import settle  # after a dispute alone

        disputes, book = audited.disputes if audited else (), self.manager.book if self.manager else None
        before = book.audit if book else None
        try:
            self.account.discard(settle(self._team, self.manager, disputes, right, self.poll))
        finally:  # even if ranks are lost meanwhile
            if self.manager and book and book.audit != before and self._hooks.on_exclusion:
                with self.problem.noted():
                    self._hooks.on_exclusion(self.manager.shard, book.audit)
        return self._next_assignment(None)

    def _work_result(
        self, counted: Tally, count_nanoseconds: Row, right: bool, audited: "Audited | None"
    ) -> Row:
        """Return the work result of a round; `count_nanoseconds` are by clock, and of CPU time."""
        row = np.zeros(messages.WORK_RESULT_COLUMNS, np.int64)
        row[WorkResult.FAILED] = self.problem.of_all
        row[WorkResult.STOPPED] = self._stop.requested
        row[WorkResult.WRONG] = (
            messages.FAILS_ALONE if self.problem.of_rank_alone else 0 if right else messages.WRONG_ANSWERS
        )
        if audited:
            row[[WorkResult.RECOUNTED, WorkResult.DIFFERENT]] = audited.recounted, len(audited.disputes)
        row[WorkResult.POINTS] = counted.points
        row[[WorkResult.COUNT_NS, WorkResult.COUNT_CPU_NS]] = count_nanoseconds
        row[WorkResult.WAIT_NS] = self._wait_nanoseconds
        row[WorkResult.UNITS] = counted.units
        row[WorkResult.AUDIT_NS] = self.account.audit_nanoseconds
        row[WorkResult.USER_NS : WorkResult.PEAK_BYTES + 1] = process.usage()
        row[WorkResult.TALLY :] = messages.pack(self._job, counted)
        return row

    def _next_assignment(self, rows: Row | None) -> Row:
        """Return the next assignment of this rank, made on rank 0 from the work results of all ranks."""
        assignments = None
        if self.manager:
            assignments = self.manager.begin() if rows is None else self.manager.next(rows)
        if self._team.survives:
            state = repair.committed(self.manager) if self.manager else None
            committed = bcast(self._comm, state, self.poll)
            self.account.commit(committed, time.clock_gettime(time.CLOCK_MONOTONIC))
        assignment = np.empty(len(Assignment), np.int64)
        wait(self._comm.Iscatter(assignments, assignment), self.poll)
        if self._auditor and assignment[Assignment.UNITS]:
            self._auditor.receive(self.manager.audit_head() if self.manager else None)
        return assignment

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
        with self.problem.noted():
            shard = self.manager.shard if self.manager else None
            self._hooks.on_round(Round(self.rounds - 1, units, shard, unit_hits))
            if unit_hits is not None:
                self.account.logged_rounds = self.rounds
