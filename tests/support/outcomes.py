"""Files with the outcomes of pytest, one for each process."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """The outcomes of a run of pytest in one process."""

    counts: Counter[str]
    """The number of tests with each outcome."""
    lacking: list[list[str]]
    """For each test that was skipped for want of something: what this machine lacks."""
    min_ranks: list[int]
    """For each MPI test that was collected: how many ranks it needs."""


def leave(folder: Path, ran: Ran) -> None:
    """Write the outcomes of this process into the folder."""
    (folder / f"{os.getpid()}.json").write_text(json.dumps(vars(ran)))


def outcomes(folder: Path) -> list[Ran]:
    """Return the outcomes that the processes of a run have left in the folder."""
    documents = [json.loads(file.read_text()) for file in sorted(folder.iterdir())]
    return [Ran(**document | {"counts": Counter(document["counts"])}) for document in documents]
