"""The files in which the processes of a run of pytest leave what has come of it."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """What has come of a run of pytest on one rank."""

    counts: Counter[str]
    """By outcome."""
    lacking: list[list[str]]
    """Of each test that was skipped for it."""


def outcomes(folder: Path) -> list[Ran]:
    """What the ranks of a pytest run have left behind."""
    documents = [json.loads(file.read_text()) for file in sorted(folder.iterdir())]
    return [Ran(Counter(document["counts"]), document["lacking"]) for document in documents]
