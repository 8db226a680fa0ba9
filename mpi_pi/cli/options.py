"""Options of commands, typed and frozen; here those of `mpi-pi run`."""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Self

from mpi_pi.version import STREAM_VERSION, __version__


@dataclass(frozen=True)
class Options:
    """Options of a command, each a field with the name that it has in parsed arguments."""

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """Return the options in parsed arguments."""
        return cls(**{field.name: getattr(args, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class RunOptions(Options):
    """Options of `mpi-pi run`, see `cli.parser`. None stands for an option that was not given."""

    trials: int | None
    points: int | None
    """Points of each trial."""
    seed: int | None
    json: str | None
    per_rank: bool
    trial_log: str | None
    progress: Literal["auto", "on", "off"]
    kernel: Literal["auto", "numba", "numpy"]
    cache: Path | None
    threads: int | Literal["auto"] | None
    shard: tuple[int, int] | Literal["slurm"] | None
    """Index, from 1, and count."""
    checkpoint: str | None
    checkpoint_every: float | None
    """Seconds."""
    restart: bool
    time_limit: float | Literal["slurm"] | None
    """Seconds."""

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
        )
