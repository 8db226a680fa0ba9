"""Blocks that reports are built of; `report.plain` and `report.html` render them."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

MAX_HOSTS = 20
"""Hosts in a table of text; JSON has all."""

Line = tuple[str, str] | str
"""Name and value, or a sentence. After a line feed, a value continues on a line of its own."""


class Lines(NamedTuple):
    """Lines `name = value`, which are an interface to scripts, and sentences."""

    lines: Sequence[Line]
    separator: str = " = "
    """Written between name and value in plain text."""


class Table(NamedTuple):
    """Rows of cells by the names of their columns. There is at least one row; all have the same columns."""

    rows: Sequence[Mapping[str, str]]
    numbers: Collection[str] = ()
    """Names of the columns that are aligned to the right."""
    note: str = ""
    """A remark to be written, in brackets, below the rows."""


class Section(NamedTuple):
    """Blocks with a title, which plain text leaves out."""

    title: str
    blocks: Sequence["Lines | Table"]


Block = Lines | Table | Section
