"""Tables for people."""

from collections.abc import Collection, Iterable, Mapping


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
