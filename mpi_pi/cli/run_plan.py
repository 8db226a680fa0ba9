"""Options of a run, and the plan that rank 0 resolves from them: files, shard and deadline."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from mpi_pi.cli import console, quantities
from mpi_pi.cli.output import Output
from mpi_pi.errors import UserError
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard
from mpi_pi.system import process, scheduler
from mpi_pi.version import STREAM_VERSION, __version__

CHECKPOINT_SECONDS = 60.0
"""Default interval between checkpoints."""

REPORT_SECONDS = 20.0
"""Time before the end of a scheduler's job at which a run stops, to report in time."""

if TYPE_CHECKING:
    from mpi_pi.storage.atomic_file import AtomicFile
    from mpi_pi.storage.checkpoint import CheckpointFile

T = TypeVar("T")


class RunOptions(NamedTuple):
    """Options of `mpi-pi run`, see `cli.parser`; None for an option that was not given."""

    trials: int | None
    points: int | None
    """Points of each trial."""
    seed: int | None
    json: str | None
    csv: str | None
    per_rank: bool
    trial_log: str | None
    progress: Literal["auto", "on", "off"]
    kernel: Literal["auto", "numba", "numpy"]
    cache: Path | None
    threads: int | Literal["auto"] | None
    shard: tuple[int, int] | str | None
    """Index, from 1, and count; or a scheduler that tells them."""
    checkpoint: str | None
    checkpoint_every: float | None
    """Seconds."""
    restart: bool
    time_limit: float | str | None
    """Seconds, or a scheduler that tells them."""
    audit: float
    """Share of the units that a second rank counts, 0 to 1."""
    supervised: str | None
    """Token of `mpi-pi keep-running`, which has started the job."""
    resume_state: str | None
    """State that an earlier start of the job has sent to `mpi-pi keep-running`."""
    argv: Sequence[str] = ()
    """Arguments of the command, as given."""

    def agreement(self) -> str:
        """Return the options that have to be the same on all ranks, as a text for error messages.

        Ranks may differ in kernel, cache and number of threads; only rank 0 uses the options for reports and
        files.
        """
        return (
            f"mpi-pi {__version__}, stream {STREAM_VERSION},"
            f" -n {self.trials} -i {self.points} --seed {self.seed} --shard {self.shard}"
            f" --checkpoint {self.checkpoint} --trial-log {self.trial_log}"
            f" --time-limit {self.time_limit} --threads {'auto' if self.threads == 'auto' else 'T'}"
            f" --audit {self.audit:g}"
        )

    def of(self, shard: Shard) -> "RunOptions":
        """Return the options of a run of this shard that has begun already."""
        job, part = shard.job, (shard.index, shard.count)
        return self._replace(
            trials=job.trials, points=job.points, seed=job.seed, shard=part, restart=False, resume_state=None
        )


class RunPlan(NamedTuple):
    """Plan of a run on rank 0. Its files are open; the ExitStack given to `resolve` closes them."""

    shard: Shard
    deadline: float
    """End of the time limit on the clock time.monotonic(); infinite without a time limit."""
    output: Output
    trial_log_file: "AtomicFile | None"
    checkpoint: "CheckpointFile | None"


def resolve(options: RunOptions, open_files: contextlib.ExitStack) -> RunPlan:
    """Open the files of a run, the checkpoint last, and return its plan.

    Raises UserError or BusyError for the first problem found.
    """
    # Opened before anything is counted, so that the user learns of a failure at once.
    output = open_files.enter_context(Output(options.json, options.csv))
    trial_log_file = None
    if options.trial_log:
        from mpi_pi.storage.atomic_file import AtomicFile  # for this option alone

        trial_log_file = open_files.enter_context(AtomicFile("--trial-log", options.trial_log))
    points, trials = _points_and_trials(options)
    index, count = _shard_of(options)
    deadline = _deadline(options)
    checkpoint = None
    if options.checkpoint:
        from mpi_pi.storage.checkpoint import CheckpointFile  # which most runs do not need

        every = CHECKPOINT_SECONDS if options.checkpoint_every is None else options.checkpoint_every
        handed = None
        if options.resume_state:
            from mpi_pi.cli.supervised import handed_over  # for this option alone

            handed = handed_over(options.resume_state)
        checkpoint = CheckpointFile(options.checkpoint, every, options.restart, console.warning, handed)
        open_files.enter_context(checkpoint)
    seed = options.seed
    if seed is None:
        job = checkpoint and checkpoint.job
        seed = job.seed if job else int.from_bytes(os.urandom(8))
    job = Job(trials, points, seed)
    try:
        job.shard(index, count)
    except ValueError as error:
        raise UserError(f"argument --shard: '{index}/{count}': {error}") from error
    shard = Shard(job, index, count)
    if checkpoint:
        shard = checkpoint.begin(shard)
        if options.audit == 1 and shard.unproven and not shard.complete:
            points = shard.tally.points - shard.proven.points
            console.note(f"{points} points of {options.checkpoint} were counted once: they are counted again")
            shard = shard.only_proven
    return RunPlan(shard, deadline, output, trial_log_file, checkpoint)


def _points_and_trials(options: RunOptions) -> tuple[int, int]:
    points, trials = options.points, options.trials
    if points is None or trials is None:
        from mpi_pi.cli.prompt import ask  # for --ask alone

        try:
            points = points or ask("How many points in each trial? ", quantities.points)
            trials = trials or ask("How many trials? ", quantities.trials)
        except EOFError as error:
            raise UserError("argument --ask: standard input has no answer") from error
    return points, trials


def _shard_of(options: RunOptions) -> tuple[int, int]:
    if not isinstance(options.shard, str):
        return options.shard or (1, 1)
    return _told("--shard", options.shard, scheduler.shard)


def _deadline(options: RunOptions) -> float:
    limit, now = options.time_limit, time.monotonic()
    if limit is None:
        return math.inf
    if not isinstance(limit, str):
        return now + limit - process.seconds_since_process_start()
    remaining = _told("--time-limit", limit, scheduler.seconds_left)
    return math.inf if remaining is None else now + max(remaining - REPORT_SECONDS, remaining / 2)


def _told(option: str, word: str, question: Callable[[str], T]) -> T:
    try:
        return question(word)
    except ValueError as error:
        raise UserError(f"argument {option}: {word!r}: {error}") from error
