"""Tables of a report as comma-separated values, for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mpi_pi.report.blocks import Block, Cell, Section, Table

UNKNOWN = "-"
"""Text of a cell whose value is not known, which stays empty here."""


def text(blocks: Iterable[Block]) -> str:
    """Return the tables of the blocks, one below the other, each with a row of names.

    If there are several, an empty line is between any two, and a line with its title above each. Numbers have
    their full precision; a median with its interval has three columns.
    """
    tables = [*_tables(blocks)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for place, (title, table) in enumerate(tables):
        if place:
            writer.writerow([])
        if len(tables) > 1:
            writer.writerow([title])
        rows = [_values(row, table.units) for row in table.rows]
        names = dict.fromkeys(name for row in rows for name in row)  # a row may lack what is not known of it
        writer.writerows([[*names], *([row.get(name) for name in names] for row in rows)])
    return file.getvalue()


def _tables(blocks: Iterable[Block]) -> Iterator[tuple[str, Table]]:
    for block in blocks:
        if isinstance(block, Section):
            yield from ((title or block.title, table) for title, table in _tables(block.blocks))
        elif isinstance(block, Table):
            yield block.title, block


def _values(row: Mapping[str, str], units: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a row by the names of their columns, with units."""
    values: dict[str, Any] = {}
    for name, cell in row.items():
        column = f"{name}/{units[name]}" if name in units else name
        value = cell.value if isinstance(cell, Cell) else None if cell == UNKNOWN else cell
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        values |= {f"{column} {part}".strip(): each for part, each in parts}
    return values
