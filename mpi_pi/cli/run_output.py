"""Output of a run on rank 0: head, files, report, and how to continue after a stop."""

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mpi_pi import timestamps
from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import FAILED, RUN_AGAIN, SIGNALLED, TIME_LIMIT, status_of_result
from mpi_pi.cli.output import committed
from mpi_pi.cli.run_plan import RunOptions, RunPlan
from mpi_pi.cli.signals import Signals
from mpi_pi.errors import RunError
from mpi_pi.model.job import Job
from mpi_pi.model.origin import Origin
from mpi_pi.model.result import Result
from mpi_pi.parallel.hooks import Round
from mpi_pi.report import run as run_report
from mpi_pi.report.blocks import Block, Lines
from mpi_pi.system import launch_env, phases

if TYPE_CHECKING:
    from mpi_pi.storage.checkpoint import CheckpointFile


class RunOutput:
    """The output of a run. `plan` is set on rank 0 once it has been resolved."""

    def __init__(self, options: RunOptions, origin: Origin) -> None:
        self.options, self.origin = options, origin
        self.plan: RunPlan | None = None
        self._printable = True
        """False once printing to standard output has failed."""

    @property
    def checkpoint(self) -> "CheckpointFile | None":
        """The open checkpoint of rank 0, if there is one."""
        return self.plan.checkpoint if self.plan else None

    def print_head(self, head: Lines) -> None:
        """Print the head of the report. Raises RunError if that fails in a run that writes no files."""
        options = self.options
        if "-" in (options.json, options.trial_log):
            return
        try:
            console.out([head], end="\n")
        except RuntimeError as error:
            if not (options.json or options.csv or options.trial_log or options.checkpoint):
                raise RunError(str(error)) from error
            console.error(f"{error}: the results go to the files alone")
            self._printable = False

    def log_round(self, job: Job) -> Callable[[Round], None]:
        """Return the function that writes the trial log after each round."""
        if not (self.plan and self.plan.trial_log_file):
            return lambda round_: None
        from mpi_pi.storage.trial_log import TrialLog  # for this option alone

        log = TrialLog(job, self.plan.trial_log_file.write)

        def add(round_: Round) -> None:
            if round_.unit_hits is not None:
                log.add(round_.units, round_.unit_hits)

        return add

    def report(self, result: Result, signals: Signals) -> int:
        """Save the checkpoint, write the files, print the report, and return the exit status."""
        if self.checkpoint:
            self.checkpoint.finish(result.shard)
        timestamps.mark("counted")
        status = status_of_result(result)
        if result.partial and not result.ended_by_audit:
            status = self._explain_stop(signals.stop.reason, result)
        if self.plan and self._write_and_print(self.plan, result, through_mpirun=not signals.launcher_ends):
            return status
        return FAILED

    def report_interrupted(self, result: Result | None) -> None:
        """Save the checkpoint, and write and print the result so far, if any, after other ranks were lost."""
        if self.checkpoint:
            self.checkpoint.save()
            console.note(f"stopped: {self._saved(self.checkpoint)}")
        if result and self.plan:
            self._write_and_print(self.plan, result)

    def _write_and_print(self, plan: RunPlan, result: Result, through_mpirun: bool = False) -> bool:
        """Write the files, then print, and return whether both succeeded.

        Files come first, since a terminal, or a reader that has gone away, must not cost the result.
        """
        result = replace(
            result, timestamps=dict(timestamps.seconds), phases=self._phases(result), origin=self.origin
        )
        json = ""
        if self.options.json:
            from mpi_pi.storage import result_file  # for this option alone

            json = result_file.as_json(result)
        written = all(
            [plan.output.write(json, lambda: run_report.tables(result)), self._commit_trial_log(plan, result)]
        )  # one may fail
        result = replace(result, phases=self._phases(result))  # now with the time for writing
        if not self._printable:
            return False  # the reason has been printed
        alone = self.options.trial_log == "-"
        content: str | list[Block] = "" if alone else run_report.blocks(result, self.options.per_rank)
        return plan.output.print(content, json, through_mpirun) and written

    @staticmethod
    def _phases(result: Result) -> dict[str, float]:
        # Rank 0 has another number if the first one was lost.
        by_number = {rank.rank: rank for rank in result.ranks}
        own = by_number.get(launch_env.rank(), result.ranks[0])
        return phases.of_rank_0(own.kernel_seconds, own.count_seconds)

    def _commit_trial_log(self, plan: RunPlan, result: Result) -> bool:
        """Commit the trial log unless it lacks trials; return whether writing succeeded."""
        file = plan.trial_log_file
        if not (file and result.partial):
            return file is None or committed(file)
        what = "not complete" if file.direct else "not written"
        console.error(f"argument --trial-log: {self.options.trial_log!r}: {what}, the run was interrupted")
        return True

    def _saved(self, checkpoint: "CheckpointFile") -> str:
        saved = checkpoint.saved
        if not saved:
            return "nothing is saved"
        points = f"{saved.tally.points} of {saved.points} points"
        return f"{points} are saved in {self.options.checkpoint}; run it again"

    def _explain_stop(self, reason: int, result: Result) -> int:
        """Print why a run has ended early and how to continue it; return the exit status."""
        checkpoint = self.checkpoint
        if checkpoint and checkpoint.saved:
            why = signal.Signals(reason).name if reason > 0 else "--time-limit"
            more = result.tally.points - checkpoint.saved.tally.points
            beyond = (
                f"; {more} more will be counted again: {run_report.why_again(result)}" if more > 0 else ""
            )
            console.note(f"stopped by {why}: {self._saved(checkpoint)}{beyond}")
            return RUN_AGAIN
        return SIGNALLED + reason if reason > 0 else TIME_LIMIT
