"""Tables in a file that --csv has written, read by Python's csv."""

import csv
from typing import NamedTuple


class Read(NamedTuple):
    """A table: rows of texts by the names of their columns."""

    title: str
    rows: list[dict[str, str]]

    def column(self, name: str) -> list[str]:
        return [row[name] for row in self.rows]


def read(text: str) -> list[Read]:
    """Return the tables, which empty lines are between; the title of a single one is empty."""
    groups: list[list[list[str]]] = [[]]
    for line in csv.reader(text.splitlines(keepends=True)):
        if line:
            groups[-1].append(line)
        else:
            groups.append([])
    tables = []
    for group in groups:
        title, (names, *lines) = ("", group) if len(groups) == 1 else (group[0][0], group[1:])
        assert len(set(names)) == len(names)
        tables.append(Read(title, [dict(zip(names, line, strict=True)) for line in lines]))
    return tables
