"""The options of `mpi-pi run`, typed and frozen."""

import argparse
from dataclasses import dataclass, fields
from typing import Literal, Self

from mpi_pi.version import STREAM_VERSION, __version__


@dataclass(frozen=True)
class RunOptions:
    """What the user asked for. None stands for an option that was not given."""

    trials: int | None
    points: int | None
    """Of each trial."""
    seed: int | None
    json: str | None
    per_rank: bool
    trial_log: str | None
    progress: Literal["auto", "on", "off"]
    kernel: Literal["auto", "numba", "numpy"]
    cache: str | None
    threads: int | Literal["auto"] | None
    shard: tuple[int, int] | Literal["slurm"] | None
    """Index and count."""
    checkpoint: str | None
    checkpoint_every: float | None
    """Seconds."""
    restart: bool
    time_limit: float | Literal["slurm"] | None
    """Seconds."""

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(**{field.name: getattr(args, field.name) for field in fields(cls)})

    def agreement(self) -> str:
        """Return what has to be the same on all ranks, as a text for people.

        Ranks may differ in their kernel, cache and number of threads; and rank 0 alone reports and saves.
        """
        return (
            f"mpi-pi {__version__}, stream {STREAM_VERSION},"
            f" -n {self.trials} -i {self.points} --seed {self.seed} --shard {self.shard}"
            f" --checkpoint {self.checkpoint} --trial-log {self.trial_log}"
            f" --time-limit {self.time_limit} --threads {'auto' if self.threads == 'auto' else 'T'}"
        )
