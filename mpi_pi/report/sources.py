"""Files named for a picture or a page, told apart by their content."""

from collections.abc import Sequence
from typing import NamedTuple

from mpi_pi.bench import document as bench_document
from mpi_pi.bench.document import Benchmark
from mpi_pi.burn_in import document as burn_in_document
from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.formatting import printable
from mpi_pi.model.result import Result
from mpi_pi.storage import json_document, result_file, trial_log
from mpi_pi.storage.trial_log import Trials

Content = Result | Benchmark | BurnIn | Trials


class Item(NamedTuple):
    """A file by its printable name."""

    name: str
    content: Content


def read(names: Sequence[str]) -> list[Item]:
    """Return the contents of files, in order. Raises UserError with a line for each problem."""
    return json_document.read_all(names, lambda name: Item(printable(name), _content(name)))


def _content(name: str) -> Content:
    content = json_document.content(name)
    if content.startswith(trial_log.HEADER.encode()):
        return trial_log.of_content(content)
    kind = json_document.kind(content)
    if kind == bench_document.KIND:
        return bench_document.of_content(content)
    if kind == burn_in_document.KIND:
        return burn_in_document.of_content(content)
    if kind == result_file.KIND:
        return result_file.of_content(content)
    raise json_document.DocumentError(f"a {kind} of mpi-pi's, and no result, benchmark, burn-in or trial log")
