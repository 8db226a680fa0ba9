"""Types of arguments for argparse, whose errors quote the value."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mpi_pi.cli import quantities
from mpi_pi.formatting import truncated
from mpi_pi.model.job import Job

T = TypeVar("T")


def quoting(convert: Callable[[str], T], word: str | None = None) -> Callable[[str], T | str]:
    """Return `convert` as a type for argparse, with the value in errors; the text `word` stays as it is."""

    def converted(text: str) -> T | str:
        try:
            return text if text == word else convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{truncated(text)!r}: {error}") from error

    return converted


trials = quoting(quantities.trials)
points = quoting(quantities.points)
seed = quoting(lambda text: Job(trials=1, points=1, seed=quantities.quantity(text)).seed)
threads = quoting(quantities.threads, "auto")
starts = quoting(quantities.starts)
command = quoting(quantities.command)
output = quoting(quantities.file_name, "-")
file = quoting(quantities.file_name)
folder = quoting(lambda text: Path(quantities.file_name(text)))
shard = quoting(quantities.shard, "slurm")
share = quoting(quantities.share)
duration = quoting(quantities.duration)
patience = quoting(quantities.patience)
burn_in_time = quoting(quantities.burn_in_time)
time_limit = quoting(quantities.duration, "slurm")
