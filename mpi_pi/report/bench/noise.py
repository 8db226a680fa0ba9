"""Section of a benchmark on OS noise."""

from collections.abc import Mapping
from typing import Any

from mpi_pi.formatting import format_percent, number_of
from mpi_pi.report.blocks import Cell, Lines, Table, number

MAX_HOSTS = 10
"""Hosts in the table, the noisiest."""

COLUMNS = {"noise": "slowdown", "99th percentile": "p99", "longest": "longest", "stolen": "stolen"}
"""Members of a row, by name of column."""


def blocks(section: Mapping[str, Any], whole: bool = False) -> list[Lines | Table]:
    """Return lines on the noisiest host, and a table of hosts.

    Without `whole`, the table has the noisiest hosts alone, and is left out if there is but one.
    """
    rows = sorted(section["rows"], key=lambda row: -float(row["slowdown"]))
    worst, shown = rows[0], rows if whole else rows[:MAX_HOSTS]
    where = f", on {worst['host']}" if len(rows) > 1 else ""
    quantum = f"the mean over the shortest time for {section['quantum_seconds'] * 1e3:.3g} ms of work"
    lines = [
        ("Noise", f"{_percent(section['slowdown'])}, {quantum}{where}"),
        ("Noise, 99th percentile", _percent(worst["p99"])),
        ("Noise, longest", _percent(worst["longest"])),
        ("Stolen by the hypervisor", _percent(worst["stolen"])),
    ]
    if len(rows) == 1 and not whole:
        return [Lines(lines)]
    table = [
        {"host": row["host"], "ranks": number(row["ranks"])}
        | {name: _percent(row[member]) for name, member in COLUMNS.items()}
        for row in shown
    ]
    note = f"the noisiest of {number_of(len(rows), 'host')}" if len(rows) > len(shown) else ""
    return [Lines(lines), Table(table, ("ranks", *COLUMNS), note, "noise", dict.fromkeys(COLUMNS, "%"))]


def _percent(share: float | None) -> Cell:
    return Cell("-", None) if share is None else Cell(format_percent(share, form=".1f"), 100 * share)
