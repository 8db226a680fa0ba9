"""Tables for people."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence


def table(lines: Iterable[Mapping[str, str]], numbers: Collection[str] = ()) -> str:
    """Columns aligned: those of numbers to the right, words to the left. There has to be a line."""
    lines = list(lines)
    names = list(lines[0])
    rows = [names, *([line[name] for name in names] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for name, cell, width in zip(names, row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def columns_of(lines: Sequence[str]) -> Iterator[slice]:
    """Where the columns of a table are: between them, two characters or more are blank in all lines."""
    width = max(map(len, lines))
    blank = "".join(" " if all(line[i : i + 1] in ("", " ") for line in lines) else "x" for i in range(width))
    for column in re.finditer(r"x+(?: x+)*", blank):
        yield slice(*column.span())
