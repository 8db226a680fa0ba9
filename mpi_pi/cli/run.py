"""The command `mpi-pi run`, on all ranks."""

import argparse
import contextlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mpi_pi.cli import console, parser, run_hooks, run_plan
from mpi_pi.cli.exit_codes import VERIFIED, status_after_silence
from mpi_pi.cli.origin import origin_of
from mpi_pi.cli.progress_bar import bar
from mpi_pi.cli.ranks import Ranks
from mpi_pi.cli.run_output import RunOutput
from mpi_pi.cli.run_plan import RunOptions
from mpi_pi.errors import RunError, UserError
from mpi_pi.formatting import format_some, number_of
from mpi_pi.kernel.loader import load
from mpi_pi.model.job import Job
from mpi_pi.model.result import RankInfo
from mpi_pi.model.shard import Shard
from mpi_pi.mpi import runtime, ulfm
from mpi_pi.mpi.collectives import bcast, call_on_root
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.peer_timeout import RankLoss
from mpi_pi.parallel.hooks import Hooks, Round
from mpi_pi.parallel.run import InterruptedRun, count
from mpi_pi.parallel.state import State
from mpi_pi.parallel.team import Plan, Request, Team, assemble
from mpi_pi.report import run as run_report
from mpi_pi.system import affinity, launch_env, scheduler

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.cli.supervised import Supervised
    from mpi_pi.parallel.recovery import Survivors

LONG_JOB_POINTS = 10**9
"""Points that take one core between one and some ten seconds."""


def execute(args: argparse.Namespace, ranks: Ranks) -> int:
    """Count, save and report; return the exit status on rank 0. Raises MpiPiError on all ranks."""
    options = parser.typed(RunOptions, args)
    supervised = None
    if options.supervised:
        from mpi_pi.cli.supervised import Supervised  # for this option alone

        supervised = Supervised(options.supervised)

    run = _Run(options, ranks, supervised)
    if supervised:
        is_root, reason = (lambda: run.comm.rank == 0), (lambda: ranks.signals.stop.reason)
        return supervised.report_end(run.execute, is_root, reason)
    return run.execute()


class _Run:
    """One run on this rank."""

    def __init__(self, options: RunOptions, ranks: Ranks, supervised: "Supervised | None") -> None:
        self.options, self.ranks, self.supervised = options, ranks, supervised
        self.open_files = contextlib.ExitStack()
        """Closes the files of rank 0."""
        self.output = RunOutput(options, origin_of(options.argv))
        self.survivors = ranks.survive() if ranks.comm.size > 1 and ulfm.works() else None
        """The ranks that are left, if the run survives the loss of ranks; else None."""
        self.team: Team | None = None
        self.state: State | None = None
        self.status: int | None = None
        """Exit status, once rank 0 has reported."""
        self._log: Callable[[Round], None] | None = None

    @property
    def comm(self) -> "MPI.Intracomm":
        """The communicator of the ranks that are left."""
        return self.survivors.comm if self.survivors else self.ranks.comm

    @property
    def heartbeat(self) -> Heartbeat:
        """The heartbeat of the ranks that are left."""
        return self.survivors.heartbeat if self.survivors else self.ranks.watch()

    def execute(self) -> int:
        """Count, save and report; return the exit status on rank 0."""
        with self.open_files:
            return self._execute()

    def _execute(self) -> int:
        """Count and report, and go on after each loss of ranks that the run survives."""
        if self.options.checkpoint:
            # Even before counting, a signal ends in a report: which points are saved, and how to continue.
            self.open_files.enter_context(self.ranks.signals.all_handled())
        while True:
            try:
                with ulfm.losses():
                    return self._count_and_report()
            except RankLoss as loss:
                if self.survivors and self.comm.rank and self.status is not None:
                    return VERIFIED  # rank 0 has reported, and others have left
                if not self.survivors:
                    self._give_up(loss)
                    raise
                self._go_on(self.survivors)

    def _count_and_report(self) -> int:
        comm = self.comm
        if self.team is None or self.state is None:
            self.team = assemble(comm, self._request(), self.heartbeat)
            self.state = State(self.team, lost=self.survivors.lost if self.survivors else {})
            self.open_files.enter_context(self.ranks.signals.all_handled())
        elif self.survivors:
            call_on_root(comm, self._open_files_anew, self.heartbeat.check)
        shard, counted = self.team.shard, self.state.account.committed.shard.tally.points
        progress = self.options.progress if comm.rank == 0 else "off"
        # Open MPI 5.0 may crash if a rank is lost while another communicator is made.
        signals = comm if self.survivors else comm.Dup()
        with bar(progress, shard.points, counted, unit=" points", unit_scale=True) as show:
            result = count(self.team, signals, self._hooks(shard.job, show), self.state)
        if comm.rank == 0 and self.status is None:
            self.status = self.output.report(result, self.ranks.signals)
        if self.survivors:
            self.status = bcast(comm, self.status, self.heartbeat.check)
            if comm.rank == 0:  # which has to know whether all others have heard of the report
                self.survivors.meet()
        return self.status if comm.rank == 0 and self.status else VERIFIED

    def _give_up(self, loss: RankLoss) -> None:
        """End the job after a loss of ranks, on a rank that has noticed it, unless nothing can be saved."""
        if self.team is None:
            return
        console.complain(str(loss))
        self.output.report_interrupted(loss.result if isinstance(loss, InterruptedRun) else None)
        status = status_after_silence(self.options.checkpoint)
        if self.supervised and self.comm.rank == 0:
            self.supervised.end(status)
        runtime.abort(self.comm, status)

    def _go_on(self, survivors: "Survivors") -> None:
        """Find the ranks that are left, and the state from which they go on."""
        from mpi_pi.parallel.recovery import CutOff  # after a loss alone

        before = len(survivors.lost)
        try:
            self.team = survivors.go_on(self.team, self.state, logs=self.options.trial_log is not None)
        except CutOff as cut:
            if self.comm.rank:
                ulfm.die()
            console.complain(str(cut))
            os._exit(status_after_silence(self.options.checkpoint))  # before anything is written
        if self.team is None:
            self.state = None
        if self.comm.rank == 0 and self.status is None:
            console.speaks = True
            new = list(survivors.lost.items())[before:]
            lost = [f"rank {rank}" + (f" on host {host}" if host else "") for rank, host in new]
            left = f"going on with {number_of(self.comm.size, 'rank')}"
            console.warning(f"lost {format_some(lost, 8)}: {left}")

    def _open_files_anew(self) -> None:
        """Open the files of the run on a rank that has become rank 0. Raises RunError."""
        if self.output.plan or not (self.team and self.state and self.state.manager):
            return
        shard = self.team.shard
        try:
            plan = run_plan.resolve(self.options.of(shard), self.open_files)
        except UserError as error:
            raise RunError(str(error)) from error
        if plan.trial_log_file and plan.trial_log_file.direct:
            raise RunError(f"argument --trial-log: {self.options.trial_log!r}: cannot be written anew")
        self.output.plan, self.ranks.signals.stop.deadline = plan, plan.deadline
        if plan.checkpoint and not plan.shard.complete:
            plan.checkpoint.finish(self.state.manager.shard)

    def _request(self) -> Request:
        options = self.options
        return Request(
            options.agreement(),
            self._resolve,
            lambda: load(options.kernel, options.cache, console.note),
            None if options.threads == "auto" else options.threads or 1,
            self._announce,
            survives=self.survivors is not None,
            audit=options.audit,
        )

    def _resolve(self) -> Plan:
        """Resolve the plan of the run, on rank 0; only once, even if the handshake is repeated."""
        if self.options.audit and self.ranks.comm.size < 2:
            raise UserError(f"argument --audit: {self.options.audit:g}: needs at least 2 ranks")
        self.output.plan = plan = self.output.plan or run_plan.resolve(self.options, self.open_files)
        self.ranks.signals.stop.deadline = plan.deadline
        if self.options.threads != "auto":
            return Plan(plan.shard)
        # Asked on rank 0, since mpirun does not pass a scheduler's variables to all hosts.
        return Plan(plan.shard, scheduler.threads_per_rank(), scheduler.max_threads_per_rank())

    def _announce(self, shard: Shard, ranks: Sequence[RankInfo], warnings: Sequence[str]) -> None:
        """Print warnings and the head of the report; its seed makes a run that fails repeatable."""
        for warning in (*warnings, *ulfm.warnings()):
            console.warning(warning)
        if self.supervised:
            self.supervised.update(shard)
        origin = self.output.origin
        self.output.print_head(run_report.head(shard, ranks, runtime.library_name(), origin=origin))
        self._note_unused_cores(shard)

    def _note_unused_cores(self, shard: Shard) -> None:
        """Print how to use all cores, if the job is long and no option shows that one core is intended."""
        options, points = self.options, shard.points - shard.tally.points
        intended = (
            options.threads or options.shard or options.progress == "off" or scheduler.job_id() is not None
        )
        if intended or launch_env.started() or points < LONG_JOB_POINTS:
            return
        from mpi_pi.system import machine  # which most runs do not need

        quota = machine.machine().cpu_quota
        cores = min(len(affinity.physical_cores(affinity.cores())), int(quota[1]) if quota else 1 << 20)
        if cores > 1:
            console.note(
                f"this uses 1 of {cores} cores; mpirun -n {cores} mpi-pi run … uses them all, and so does"
                " --threads auto"
            )

    def _hooks(self, job: Job, show: Callable[[float], object]) -> Hooks:
        if self.comm.rank == 0 and self._log is None:
            self._log = self.output.log_round(job)
        log, stop = self._log or (lambda round_: None), self.ranks.signals.stop
        book = self.state.manager.book if self.state and self.state.manager else None
        told = len(book.audit.wrong) if book else 0
        hooks = run_hooks.hooks(self.output.checkpoint, self.supervised, stop, log, show, told)
        return hooks._replace(unit_hits=self.options.trial_log is not None)
