"""Blocks that reports are built of; `report.plain` and `report.html` render them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

MAX_HOSTS = 20
"""Hosts in a table of text; JSON has all."""

Line = tuple[str, str] | str
"""Name and value, or a sentence. After a line feed, a value continues on a line of its own."""


@dataclass(frozen=True)
class Lines:
    """Lines `name = value`, which are an interface to scripts, and sentences."""

    lines: Sequence[Line]
    separator: str = " = "
    """Written between name and value in plain text."""


@dataclass(frozen=True)
class Table:
    """Rows of cells by the names of their columns. There is at least one row; all have the same columns."""

    rows: Sequence[Mapping[str, str]]
    numbers: Collection[str] = ()
    """Names of the columns that are aligned to the right."""
    note: str = ""
    """A remark to be written, in brackets, below the rows."""


@dataclass(frozen=True)
class Section:
    """Blocks with a title, which plain text leaves out."""

    title: str
    blocks: Sequence["Lines | Table"]


Block = Lines | Table | Section
