"""Blocks that reports are built of; `report.plain` and `report.html` render them."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Self

MAX_HOSTS = 20
"""Hosts in a table of text; JSON has all."""

NO_UNITS: Mapping[str, str] = {}

Line = tuple[str, str] | str
"""Name and value, or a sentence. After a line feed, a value continues on a line of its own."""


class Lines(NamedTuple):
    """Lines `name = value`, which are an interface to scripts, and sentences."""

    lines: Sequence[Line]
    separator: str = " = "
    """Written between name and value in plain text."""


class Cell(str):
    """The text of a cell, which also knows the value that it shows, in full precision and without a unit.

    None stands for an unknown value. A mapping has the parts of a value, by names for their columns.
    """

    __slots__ = ("value",)

    value: float | str | Mapping[str, float | None] | None

    def __new__(cls, text: str, value: float | str | Mapping[str, float | None] | None) -> Self:
        """Return the text, with its value."""
        cell = super().__new__(cls, text)
        cell.value = value
        return cell


def number(value: float | None, form: str = "") -> Cell:
    """Return the cell of a number in some format; a dash for None, which is not known."""
    return Cell("-", None) if value is None else Cell(format(value, form), value)


def percent(share: float | None) -> Cell:
    """Return the cell of a share in percent; a dash for None, which is not known."""
    return Cell("-", None) if share is None else Cell(f"{share:.0%}", 100 * share)


class Table(NamedTuple):
    """Rows of cells by the names of their columns. There is at least one row; all have the same columns."""

    rows: Sequence[Mapping[str, str]]
    numbers: Collection[str] = ()
    """Names of the columns that are aligned to the right."""
    note: str = ""
    """A remark to be written, in brackets, below the rows."""
    title: str = ""
    """What it is a table of, where several are in one file."""
    units: Mapping[str, str] = NO_UNITS
    """Units, by name of column, of numbers whose text has them in the cells, or not at all."""


class Section(NamedTuple):
    """Blocks with a title, which plain text leaves out."""

    title: str
    blocks: Sequence["Lines | Table"]


Block = Lines | Table | Section
