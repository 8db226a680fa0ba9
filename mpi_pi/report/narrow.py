"""Text for a terminal that is too narrow for it: lines are folded between words, and tables become lists."""

import textwrap
from collections.abc import Iterator

from mpi_pi.report.table import columns_of

ENOUGH_COLUMNS = 80
"""What all terminals once had: text is written for as many, and a longer line is the terminal's to fold."""


def fitted(text: str, columns: int) -> str:
    """The text in lines of so many columns, but for words that are longer."""
    if columns >= ENOUGH_COLUMNS:
        return text
    blocks = text.split("\n\n")
    return "\n\n".join("\n".join(_block(block.split("\n"), columns)) for block in blocks)


def _block(lines: list[str], columns: int) -> Iterator[str]:
    """The lines of a block, between which none is empty: a table, or lines of their own."""
    if max(map(len, lines)) <= columns:
        yield from lines
        return
    rows = [line for line in lines if line and not line.startswith("(")]
    places = list(columns_of(rows)) if len(rows) > 1 and " = " not in rows[0] else []
    if len(places) > 2:
        yield from _list(rows, places)
        lines = [line for line in lines if line not in rows]
    for line in lines:
        yield from _folded(line, columns)


def _list(rows: list[str], places: list[slice]) -> Iterator[str]:
    """What a table says, a line for each cell."""
    names, *others = [[row[place].strip() for place in places] for row in rows]
    for row in others:
        for indent, (name, cell) in zip(["", *["  "] * len(row)], zip(names, row, strict=True), strict=False):
            yield f"{indent}{name} = {cell}"


def _folded(line: str, columns: int) -> list[str]:
    indent = len(line) - len(line.lstrip()) + 2
    return textwrap.wrap(
        line, columns, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    ) or [line]
