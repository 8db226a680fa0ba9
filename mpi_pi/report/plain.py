"""Blocks as plain text, for pipes and for terminals of any width."""

import textwrap
from collections.abc import Iterable, Iterator

from mpi_pi.report.blocks import Block, Lines, Section, Table

ENOUGH_COLUMNS = 80
"""The width that text is written for; a wider terminal folds longer lines by itself."""


def text(blocks: Iterable[Block], columns: int | None = None) -> str:
    """Return the text of the blocks, with an empty line between any two, and a line feed at its end.

    For fewer than 80 columns, lines are folded between words, and a table that is too wide becomes a list of
    lines `name = cell`. Only a longer word, or a cell with its name, is then wider than that.
    """
    return "\n\n".join("\n".join(_lines(block, columns)) for block in _flat(blocks)) + "\n"


def _flat(blocks: Iterable[Block]) -> Iterator[Lines | Table]:
    for block in blocks:
        yield from block.blocks if isinstance(block, Section) else [block]


def _lines(block: Lines | Table, columns: int | None) -> Iterator[str]:
    if isinstance(block, Table):
        rows, others = list(_rows(block)), [f"({block.note})"] if block.note else []
    else:
        rows, others = [], list(_pairs(block))
    if columns is None or columns >= ENOUGH_COLUMNS or all(len(line) <= columns for line in rows + others):
        yield from rows + others
        return
    if isinstance(block, Table):
        yield from _list(block)
    for line in others:
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        yield from textwrap.wrap(
            line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [line]


def _pairs(block: Lines) -> Iterator[str]:
    for line in block.lines:
        whole = line if isinstance(line, str) else block.separator.join(line).replace("\n", "\n  ")
        yield from whole.split("\n")


def _rows(table: Table) -> Iterator[str]:
    """Generate the line of names and that of each row, in columns two blanks apart."""
    names = list(table.rows[0])
    rows = [names, *([row[name] for name in names] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if name in table.numbers else cell.ljust(width)
            for name, cell, width in zip(names, row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _list(table: Table) -> Iterator[str]:
    """Generate a line for each cell; those of a row after its first are indented."""
    for row in table.rows:
        for place, (name, cell) in enumerate(row.items()):
            yield f"{'  ' if place else ''}{name} = {cell}"
