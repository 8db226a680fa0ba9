"""What the files hold that a user names for a picture or a report: results, benchmarks and trial logs."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_pi.bench import document as bench_document
from mpi_pi.bench.document import Benchmark
from mpi_pi.formatting import printable
from mpi_pi.model.result import Result
from mpi_pi.storage import json_document, result_file
from mpi_pi.storage.trial_log import HEADER


@dataclass(frozen=True)
class Trials:
    """What a trial log holds."""

    points: int
    """Of each trial."""
    hits: NDArray[np.int64]
    """Of each trial, in order."""


class Item(NamedTuple):
    """A file that was named, and what is in it."""

    name: str
    content: Result | Benchmark | Trials


class SourceError(Exception):
    """Files that cannot be made anything of; says which, and why, a line for each."""


def read(names: Sequence[str]) -> list[Item]:
    """What is in the files, in their order. Raises SourceError."""
    items, problems = [], []
    for name in names:
        try:
            items.append(Item(printable(name), _content(name)))
        except json_document.DocumentError as error:
            problems.append(f"{printable(name)}: {error}")
    if problems:
        raise SourceError("\n".join(problems))
    return items


def _content(name: str) -> Result | Benchmark | Trials:
    content = json_document.content(name)
    if content.startswith(HEADER.encode()):
        return _trials(content)
    kind = json_document.kind(content)
    if kind == bench_document.KIND:
        return bench_document.of_content(content)
    if kind == result_file.KIND:
        return result_file.of_content(content)
    raise json_document.DocumentError(f"a {kind} of mpi-pi's, and no result, benchmark or trial log")


def _trials(content: bytes) -> Trials:
    lines = content.decode("ascii", errors="replace").splitlines()
    try:
        rows = np.array([[int(value) for value in row] for row in list(csv.reader(lines))[1:]], np.int64)
    except (ValueError, OverflowError, csv.Error) as error:
        raise json_document.DocumentError(f"damaged trial log: {error}") from error
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise json_document.DocumentError("a trial log without trials")
    trials, points, hits = rows.T
    if (trials != np.arange(len(trials))).any() or (points != points[0]).any():
        raise json_document.DocumentError("damaged trial log: trials are missing")
    if points[0] < 1 or (hits < 0).any() or (hits > points).any():
        raise json_document.DocumentError("damaged trial log: no such hits are possible")
    return Trials(int(points[0]), hits)
