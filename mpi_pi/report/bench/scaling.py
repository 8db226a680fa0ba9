"""Section of a benchmark on strong and weak scaling."""

from collections.abc import Mapping
from typing import Any

from mpi_pi.bench.median import MedianCI
from mpi_pi.formatting import number_of
from mpi_pi.report.bench.numbers import LOST, ci_cell, format_ci
from mpi_pi.report.blocks import Lines, Table, number

Row = Mapping[str, Any]

MAX_WIDTH = 0.1
"""Width of the interval of a serial fraction, which may be about zero; a wider one says nothing."""

NUMBERS = ("ranks", "hosts")


def blocks(section: Mapping[str, Any]) -> list[Lines | Table]:
    """Return a table of strong scaling, the serial fraction, and a table of weak scaling."""
    strong, weak, idle = section["strong"], section["weak"], section["idle_ranks"]
    turns = number_of(len(strong["rows"][0]["seconds"]["samples"]), "turn")
    head = [
        ("Strong scaling", f"{_points(strong['job'])}, by {section['by']}, {turns}"),
        ("Same hits", f"{'yes' if section['same_hits'] else 'NO'}, in all rows and turns"),
    ]
    if idle:
        head.insert(0, ("Idle", f"{number_of(idle, 'rank')}: a core for each of the others"))
    fraction = strong["serial_fraction"]
    fitted = f"{_format_fraction(fraction, interval=True)}, by Amdahl's law" if fraction else "unknown"
    between = [("Serial fraction", fitted), ("Weak scaling", f"{_points(weak['job'])} for each rank")]
    return [
        Lines(head),
        Table([_strong_row(row) for row in strong["rows"]], NUMBERS, title="strong scaling"),
        Lines(between),
        Table([_row(row) for row in weak["rows"]], NUMBERS, title="weak scaling"),
    ]


def _points(job: Mapping[str, int]) -> str:
    return f"{job['trials']} × {job['points_per_trial']} points"


def _row(row: Row) -> dict[str, str]:
    return {
        "ranks": number(row["ranks"]),
        "hosts": number(row["hosts"]),
        "time/s": format_ci(MedianCI.from_fields(row["seconds"])),
        "speed-up": _format_positive(MedianCI.from_fields(row["speed_up"])),
        "efficiency/%": _format_positive(MedianCI.from_fields(row["efficiency"]), 100),
    }


def _strong_row(row: Row) -> dict[str, str]:
    fields = row["karp_flatt"]
    fraction = (
        ci_cell(_format_fraction(fields), MedianCI.from_fields(fields)) if fields else ci_cell("-", None)
    )
    return _row(row) | {"Karp–Flatt": fraction}


def _format_positive(ci: MedianCI, scale: float = 1.0) -> str:
    """Return a number with its interval; what is lost in noise has none, to keep the table narrow."""
    if ci.inconclusive:
        return ci_cell(LOST, ci, scale)
    return format_ci(ci, ".3g" if ci.median * scale < 100 else ".0f", scale)


def _format_fraction(fields: Mapping[str, Any], interval: bool = False) -> str:
    """Return a serial fraction, which may be about zero; `interval` even if it is lost in noise."""
    fraction = MedianCI.from_fields(fields)
    ends = f"({fraction.low:.4f} … {fraction.high:.4f})"
    if fraction.high - fraction.low > MAX_WIDTH:
        return f"{LOST} {ends}" if interval else LOST
    return f"{fraction.median:.4f} {ends}"
