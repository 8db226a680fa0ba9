"""Types of arguments for argparse, whose errors quote the value."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from mpi_pi.cli import quantities
from mpi_pi.formatting import truncated
from mpi_pi.model.job import Job
from mpi_pi.system.scheduler import ARRAYS, SCHEDULERS

T = TypeVar("T")


def quoting(convert: Callable[[str], T], words: Collection[str] = ()) -> Callable[[str], T | str]:
    """Return `convert` as a type for argparse, with the value in errors; each of `words` stays as it is."""

    def converted(text: str) -> T | str:
        try:
            return text if text in words else convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{truncated(text)!r}: {error}") from error

    return converted


trials = quoting(quantities.trials)
points = quoting(quantities.points)
seed = quoting(lambda text: Job(trials=1, points=1, seed=quantities.quantity(text)).seed)
threads = quoting(quantities.threads, ("auto",))
starts = quoting(quantities.starts)
command = quoting(quantities.command)
python_version = quoting(quantities.python_version)
output = quoting(quantities.file_name, ("-",))
file = quoting(quantities.file_name)
folder = quoting(lambda text: Path(quantities.file_name(text)))
shard = quoting(quantities.shard, ARRAYS)
share = quoting(quantities.share)
duration = quoting(quantities.duration)
patience = quoting(quantities.patience)
burn_in_time = quoting(quantities.burn_in_time)
time_limit = quoting(quantities.duration, SCHEDULERS)
