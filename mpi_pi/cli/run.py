"""One `mpi-pi run`: from the arguments to the exit status, on all ranks."""

import argparse
import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpi_pi import timestamps
from mpi_pi.cli import console, parser
from mpi_pi.cli.exit_codes import BAD_USAGE, FAILED, NOT_VERIFIED, RUN_AGAIN, SIGNALLED, TIME_LIMIT, VERIFIED
from mpi_pi.cli.progress_bar import bar
from mpi_pi.cli.prompt import ask
from mpi_pi.cli.signals import Signals
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard
from mpi_pi.mpi.heartbeat import HeartbeatTimeout
from mpi_pi.mpi.requests import allgather
from mpi_pi.parallel import run as parallel
from mpi_pi.report import run as run_report
from mpi_pi.storage.atomic_file import AtomicFile, OutputError
from mpi_pi.storage.checkpoint import CheckpointError, CheckpointFile
from mpi_pi.storage.lock_file import LockHeld
from mpi_pi.storage.trial_log import TrialLog
from mpi_pi.system import affinity, launch_env, phases, process, slurm

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.kernel.loader import Kernel
    from mpi_pi.model.result import RankInfo, Result
    from mpi_pi.mpi.heartbeat import Heartbeat
    from mpi_pi.parallel.run import Round

CHECKPOINT_EVERY_SECONDS = 60.0

LONG_ROUND_SECONDS = 5.0
"""When rank 0 saves in the midst of a round. It may be waiting for a host that has fallen silent, and mpirun,
once it has noticed that, gives no time for it."""

LONG_JOB_POINTS = 10**9
"""What one core takes a second to some ten for."""

LAST_SECONDS = 20.0
"""How long before its end a Slurm job stops by itself, to say its last word in good time."""


class Refused(Exception):
    """What shows only once the job has started not to be possible. Raised on all ranks alike."""

    def __init__(self, why: str, status: int = BAD_USAGE) -> None:
        super().__init__(why)
        self.status = status


class Session:
    """One `mpi-pi run`: what the user asked for, and what is open for it on rank 0."""

    def __init__(
        self, args: argparse.Namespace, comm: "MPI.Intracomm", signals: Signals, alive: "Heartbeat"
    ) -> None:
        self.args, self.comm, self.signals, self.alive = args, comm, signals, alive
        self.open_files = contextlib.ExitStack()
        self.json_file: AtomicFile | None = None
        self.log_file: AtomicFile | None = None
        self.keeper: CheckpointFile | None = None
        self.printable = True
        """Whether standard output has taken all that was printed so far."""
        self.round_ended_at = time.monotonic()
        self.deadline = math.inf
        """Of time.monotonic()."""

    def run(self) -> int:
        """Do it; the exit status, on rank 0."""
        args = self.args
        with self.open_files:
            parallel.require_identical(
                self.comm,
                f"-n {args.trials} -i {args.points} --seed {args.seed} --shard {args.shard}"
                f" --checkpoint {args.checkpoint} --trial-log {args.trial_log}"
                f" --time-limit {args.time_limit} --threads {'auto' if args.threads == 'auto' else 'T'}",
            )
            timestamps.mark("met")
            if args.checkpoint:
                # From here on there is something to say after a signal: what is saved, and how to go on.
                self.open_files.enter_context(self.signals.all_noted())
            self._agreed(self._open_files)
            part = self._agreed(self._part_to_count)
            threads = self._threads()
            kernel = self._load_kernel()
            timestamps.mark("kernel")
            members = parallel.gather_rank_info(self.comm, kernel, threads)
            self._agreed(lambda: self._print_head(part, members))
            self._note_unused_cores(part)
            with self.signals.all_noted():
                result = None
                try:
                    result = self._count(part, kernel, threads, members[0])
                    signal_number = self._signal_number()
                except HeartbeatTimeout as silence:  # on the ranks that have noticed it
                    console.complain(str(silence))
                    self._last_words(silence.result if isinstance(silence, parallel.Interrupted) else result)
                    raise
                return self._report(result, signal_number) if self.comm.rank == 0 else VERIFIED

    def _agreed(self, action: Callable[[], Any]) -> Any:
        """What `action` returns on rank 0, for all; what it refuses there is refused by all."""

        def attempt() -> tuple[Any, tuple[str, int] | None]:
            try:
                return action(), None
            except Refused as refused:
                return None, (str(refused), refused.status)

        value, refusal = parallel.bcast_from_root(self.comm, attempt)
        if refusal:
            raise Refused(*refusal)
        return value

    def _part_to_count(self) -> Shard:
        """What is to be counted, or counted further. Of what may be refused, the checkpoint comes last."""
        args = self.args
        points, trials = self._points_and_trials()
        index, of = self._shard()
        self._set_deadline()
        try:
            if args.checkpoint:
                every = CHECKPOINT_EVERY_SECONDS if args.checkpoint_every is None else args.checkpoint_every
                keeper = CheckpointFile(args.checkpoint, every, args.restart, console.warning)
                self.keeper = self.open_files.enter_context(keeper)
            saved = self.keeper and self.keeper.saved
            seed = args.seed
            if seed is None:
                seed = saved.job.seed if saved else int.from_bytes(os.urandom(8))
            part = Shard(Job(trials, points, seed), index, of)
            try:
                part.units  # noqa: B018  # to learn whether there is such a shard
            except ValueError as error:
                raise Refused(f"argument --shard: '{index}/{of}': {error}") from error
            return self.keeper.begin(part) if self.keeper else part
        except LockHeld as in_use:
            raise Refused(str(in_use), RUN_AGAIN) from in_use
        except CheckpointError as unusable:
            raise Refused(str(unusable)) from unusable

    def _points_and_trials(self) -> tuple[int, int]:
        points, trials = self.args.points, self.args.trials
        if points is None or trials is None:
            try:
                points = points or ask("How many points in each trial? ", parser.points)
                trials = trials or ask("How many trials? ", parser.trials)
            except EOFError as error:
                raise Refused("argument --ask: standard input has no answer") from error
        return points, trials

    def _shard(self) -> tuple[int, int]:
        if self.args.shard != "slurm":
            return self.args.shard or (1, 1)
        try:
            return slurm.shard()
        except ValueError as error:
            raise Refused(f"argument --shard: 'slurm': {error}") from error

    def _set_deadline(self) -> None:
        limit, now = self.args.time_limit, time.monotonic()
        if limit == "slurm":
            try:
                left = slurm.seconds_left()
            except ValueError as error:
                raise Refused(f"argument --time-limit: 'slurm': {error}") from error
            if left is not None:
                self.deadline = now + max(left - LAST_SECONDS, left / 2)
        elif limit is not None:
            self.deadline = now + limit - process.seconds_since_process_start()

    def _threads(self) -> int:
        """How many threads of this rank shall count."""
        threads = self.args.threads or 1
        if threads == "auto":
            # mpirun does not pass on all of Slurm's variables to other hosts.
            threads = parallel.bcast_from_root(self.comm, slurm.cpus_per_task)
            threads = threads or parallel.cores_for_each_rank(self.comm)
        cores = len(affinity.cores())
        crowded = (
            f"{threads} threads on {cores} {'core' if cores == 1 else 'cores'}: bind ranks to more cores"
        )
        crowded += " (mpirun --bind-to none; srun --cpus-per-task)"
        self._warn_of_ranks(crowded if 1 < threads > cores else "")
        return int(threads)

    def _open_files(self) -> None:
        """Open what is to be written at the end, while there is time to do something about a failure."""

        def opened(option: str, path: str | None) -> AtomicFile | None:
            return None if path is None else self.open_files.enter_context(AtomicFile(option, path))

        try:
            self.json_file = opened("--json", self.args.json if self.args.json != "-" else None)
            self.log_file = opened("--trial-log", self.args.trial_log)
        except OutputError as error:
            raise Refused(str(error)) from error

    def _load_kernel(self) -> "Kernel":
        folder = Path(self.args.cache) if self.args.cache else None
        kernel = parallel.load_kernel(self.comm, self.args.kernel, folder, console.note)
        self._warn_of_ranks(kernel.warning)
        return kernel

    def _warn_of_ranks(self, warning: str) -> None:
        """Each different warning that ranks have is shown once; to be called on all ranks."""
        for text in parallel.unique_by_rank(self.comm, warning):
            console.warning(text)

    def _print_head(self, part: Shard, members: Sequence["RankInfo"]) -> None:
        """Say what is about to be done, before it is: a run that fails can be repeated by its seed.

        If that cannot be said, a run that writes no files is of no use to anybody.
        """
        if "-" in (self.args.json, self.args.trial_log):
            return
        try:
            console.out(run_report.head(part, members, parallel.library_name()))
        except RuntimeError as error:
            if not (self.json_file or self.log_file or self.keeper):
                raise Refused(str(error), FAILED) from error
            console.error(f"{error}: the results go to the files alone")
            self.printable = False

    def _note_unused_cores(self, part: Shard) -> None:
        """Say how to use all cores, where nothing shows that one is meant, and it would take a while."""
        args, left = self.args, part.points - part.tally.points
        meant = args.threads or args.shard or args.progress == "off" or "SLURM_JOB_ID" in os.environ
        if meant or launch_env.started() or left < LONG_JOB_POINTS:
            return
        from mpi_pi.system import machine  # which most runs do not need

        quota = machine.machine().cpu_quota
        cores = min(len(affinity.physical_cores(affinity.cores())), int(quota[1]) if quota else 1 << 20)
        if cores > 1:
            console.note(
                f"this uses 1 of {cores} cores; mpirun -n {cores} mpi-pi run … uses them all, and so does"
                " --threads auto"
            )

    def _count(self, part: Shard, kernel: "Kernel", threads: int, member: "RankInfo") -> "Result":
        with self._progress(part) as show:
            log = self._log(part.job)

            def on_round(round_: "Round") -> None:
                show(round_)
                log(round_)
                if self.keeper and round_.part:
                    self.keeper.update(round_.part)
                    self.round_ended_at = time.monotonic()

            return parallel.run(
                part,
                self.comm,
                kernel=kernel,
                threads=threads,
                on_round=on_round,
                stop=self._is_to_stop,
                unit_hits=self.args.trial_log is not None,
                member=member,
                alive=self.alive,
            )

    def _signal_number(self) -> int:
        """The signal that a rank was stopped by; 0 if there was none."""
        numbers = allgather(self.comm, np.array([self.signals.number], np.int64), self.alive.check)
        return int(numbers.max())

    def _is_to_stop(self) -> bool:
        """Whether counting is to end. Asked again and again, also while this rank waits for others."""
        now = time.monotonic()
        if self.keeper and now > self.round_ended_at + LONG_ROUND_SECONDS:
            self.round_ended_at = now
            self.keeper.save()
        return self.signals.number != 0 or now > self.deadline

    @contextlib.contextmanager
    def _progress(self, part: Shard) -> Iterator[Callable[["Round"], object]]:
        """A progress bar; yields what to call after each round."""
        wanted = self.args.progress if self.comm.rank == 0 else "off"
        with bar(wanted, part.points, part.tally.points, unit=" points", unit_scale=True) as show:
            yield lambda round_: round_.part and show(round_.part.tally.points)

    def _log(self, job: Job) -> Callable[["Round"], None]:
        """What to call after each round for --trial-log."""
        if self.log_file is None:
            return lambda round_: None
        log = TrialLog(job, self.log_file.write)

        def add(round_: "Round") -> None:
            if round_.unit_hits is not None:
                log.add(round_.units, round_.unit_hits)

        return add

    def _report(self, result: "Result", signal_number: int) -> int:
        """Save, write and print everything; the exit status."""
        if self.keeper:
            self.keeper.finish(result.shard)
        timestamps.mark("counted")
        status = VERIFIED if result.verified else NOT_VERIFIED
        if result.partial:
            status = self._stopped(signal_number, result)
        told = self._write_and_print(result, through_mpirun=not self.signals.impatient)
        return status if told else FAILED

    def _write_and_print(self, result: "Result", through_mpirun: bool = False) -> bool:
        """Whether all that was possible.

        In this order, for a reader that has gone away, or a terminal, must not cost what was counted.
        """
        result = replace(result, timestamps=dict(timestamps.seconds), phases=self._steps(result))
        as_json = ""
        if self.args.json:
            from mpi_pi.storage import result_file  # which few runs need

            as_json = result_file.as_json(result)
        written = self._write(result, as_json)
        result = replace(result, phases=self._steps(result))  # with the writing
        if not self.printable:
            return False  # why has been said
        text = as_json if self.args.json == "-" else run_report.text(result, self.args.per_rank)
        if self.args.trial_log == "-":
            text = ""
        return console.said(text, through_mpirun, verbatim=self.args.json == "-") and written

    def _steps(self, result: "Result") -> dict[str, float]:
        return phases.of_rank_0(result.ranks[0].kernel_seconds, result.ranks[0].count_seconds)

    def _write(self, result: "Result", as_json: str) -> bool:
        """Write the files; whether that was possible."""
        try:
            if self.json_file:
                self.json_file.write(as_json)
                self.json_file.commit()
            if self.log_file and not result.partial:
                self.log_file.commit()
        except OutputError as error:
            console.error(str(error))
            return False
        if self.log_file and result.partial:
            what = "not complete" if self.log_file.direct else "not written"
            console.error(f"argument --trial-log: {self.args.trial_log!r}: {what}, the run was interrupted")
        return True

    def _last_words(self, result: "Result | None") -> None:
        """Save and report on rank 0 what has been counted, after other ranks were lost."""
        if self.keeper:
            self.keeper.save()
            console.note(f"stopped: {self._how_far_saved(self.keeper)}")
        if result and self.comm.rank == 0:
            self._write_and_print(result)

    def _how_far_saved(self, keeper: CheckpointFile) -> str:
        saved = keeper.saved
        if not saved:
            return "nothing is saved"
        return (
            f"{saved.tally.points} of {saved.points} points are saved in {self.args.checkpoint}; run it again"
        )

    def _stopped(self, signal_number: int, result: "Result") -> int:
        """Tell why a run has ended before its end, and how it goes on; the exit status."""
        if self.keeper and self.keeper.saved:
            why = signal.Signals(signal_number).name if signal_number else "--time-limit"
            more = result.tally.points - self.keeper.saved.tally.points
            beyond = (
                f"; {more} more will be counted again: {run_report.why_again(result)}" if more > 0 else ""
            )
            console.note(f"stopped by {why}: {self._how_far_saved(self.keeper)}{beyond}")
            return RUN_AGAIN
        return SIGNALLED + signal_number if signal_number else TIME_LIMIT
