"""The command `mpi-pi run`, on all ranks."""

import argparse
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mpi_pi.cli import console, parser, run_plan
from mpi_pi.cli.exit_codes import VERIFIED, status_after_silence
from mpi_pi.cli.progress_bar import bar
from mpi_pi.cli.ranks import Ranks
from mpi_pi.cli.run_output import RunOutput
from mpi_pi.cli.run_plan import RunOptions
from mpi_pi.kernel.loader import load
from mpi_pi.model.result import RankInfo
from mpi_pi.model.shard import Shard
from mpi_pi.mpi import runtime
from mpi_pi.mpi.heartbeat import HeartbeatTimeout
from mpi_pi.parallel.hooks import Hooks, Round
from mpi_pi.parallel.run import InterruptedRun, count
from mpi_pi.parallel.team import Plan, Request, Team, assemble
from mpi_pi.report import run as run_report
from mpi_pi.system import affinity, launch_env

if TYPE_CHECKING:
    from mpi_pi.cli.supervised import Supervised

LONG_ROUND_SECONDS = 5.0
"""Time after which rank 0 saves a checkpoint within a round: it may be waiting for a silent host, and mpirun
leaves no time for a checkpoint once it has noticed that."""

LONG_JOB_POINTS = 10**9
"""Points that take one core between one and some ten seconds."""


def execute(args: argparse.Namespace, ranks: Ranks) -> int:
    """Count, save and report; return the exit status on rank 0. Raises MpiPiError on all ranks."""
    options = parser.typed(RunOptions, args)
    supervised = None
    if options.supervised:
        from mpi_pi.cli.supervised import Supervised  # for this option alone

        supervised = Supervised(options.supervised)

    def run() -> int:
        with contextlib.ExitStack() as open_files:
            return _Run(options, ranks, open_files, supervised).execute()

    if supervised and ranks.comm.rank == 0:
        return supervised.report_end(run, lambda: ranks.signals.stop.reason)
    return run()


class _Run:
    """One run on this rank. `open_files` closes the files of rank 0."""

    def __init__(
        self,
        options: RunOptions,
        ranks: Ranks,
        open_files: contextlib.ExitStack,
        supervised: "Supervised | None",
    ) -> None:
        self.options, self.ranks, self.open_files, self.supervised = options, ranks, open_files, supervised
        self.output = RunOutput(options)

    def execute(self) -> int:
        options, ranks, comm = self.options, self.ranks, self.ranks.comm
        if options.checkpoint:
            # Even before counting, a signal ends in a report: which points are saved, and how to continue.
            self.open_files.enter_context(ranks.signals.all_handled())
        team = assemble(comm, self._request(), ranks.watch())
        shard, progress = team.shard, options.progress if comm.rank == 0 else "off"
        with ranks.signals.all_handled():
            try:
                with bar(progress, shard.points, shard.tally.points, unit=" points", unit_scale=True) as show:
                    result = count(team, comm.Dup(), self._hooks(team, show))
            except HeartbeatTimeout as silence:  # on the ranks that have noticed it
                console.complain(str(silence))
                self.output.report_interrupted(
                    silence.result if isinstance(silence, InterruptedRun) else None
                )
                status = status_after_silence(options.checkpoint)
                if self.supervised and comm.rank == 0:
                    self.supervised.end(status)
                runtime.abort(comm, status)
                raise
            return VERIFIED if comm.rank else self.output.report(result, ranks.signals)

    def _request(self) -> Request:
        options = self.options
        return Request(
            options.agreement(),
            self._resolve,
            lambda: load(options.kernel, options.cache, console.note),
            None if options.threads == "auto" else options.threads or 1,
            self._announce,
        )

    def _resolve(self) -> Plan:
        """Resolve the plan of the run, on rank 0."""
        self.output.plan = plan = run_plan.resolve(self.options, self.open_files)
        self.ranks.signals.stop.deadline = plan.deadline
        if self.options.threads != "auto":
            return Plan(plan.shard)
        from mpi_pi.system import slurm  # for this option alone

        # Asked on rank 0, since mpirun does not pass Slurm's variables to all hosts.
        return Plan(plan.shard, slurm.cpus_per_task())

    def _announce(self, shard: Shard, ranks: Sequence[RankInfo], warnings: Sequence[str]) -> None:
        """Print warnings and the head of the report; its seed makes a run that fails repeatable."""
        for warning in warnings:
            console.warning(warning)
        if self.supervised:
            self.supervised.update(shard)
        self.output.print_head(run_report.head(shard, ranks, runtime.library_name()))
        self._note_unused_cores(shard)

    def _note_unused_cores(self, shard: Shard) -> None:
        """Print how to use all cores, if the job is long and no option shows that one core is intended."""
        options, points = self.options, shard.points - shard.tally.points
        intended = (
            options.threads or options.shard or options.progress == "off" or "SLURM_JOB_ID" in os.environ
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

    def _hooks(self, team: Team, show: Callable[[float], object]) -> Hooks:
        checkpoint, log = self.output.checkpoint, self.output.log_round(team.shard.job)
        supervised = self.supervised
        stop, unit_hits = self.ranks.signals.stop, self.options.trial_log is not None
        saved_at, saved_at_stop = time.monotonic(), False

        def on_round(round_: Round) -> None:
            nonlocal saved_at
            log(round_)
            if round_.shard:
                show(round_.shard.tally.points)
                if supervised:
                    supervised.update(round_.shard)
                if checkpoint:
                    checkpoint.update(round_.shard)
                    saved_at = time.monotonic()

        def on_idle() -> None:
            nonlocal saved_at, saved_at_stop
            now = time.monotonic()
            if supervised:
                supervised.poll()
            # After a signal, too: mpirun may send it because a host is silent, and soon kill what waits.
            if checkpoint and (now > saved_at + LONG_ROUND_SECONDS or (stop.requested and not saved_at_stop)):
                saved_at, saved_at_stop = now, stop.requested
                checkpoint.save()

        return Hooks(on_round, on_idle if checkpoint else None, stop, unit_hits=unit_hits)
