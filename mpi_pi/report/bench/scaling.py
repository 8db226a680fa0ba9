"""Strong and weak scaling, for people."""

from collections.abc import Mapping
from typing import Any

from mpi_pi.bench.median import MedianCI
from mpi_pi.formatting import number_of
from mpi_pi.report.bench.numbers import LOST, format_ci
from mpi_pi.report.table import table

MAX_WIDTH = 0.1
"""Of the interval of a serial fraction, which may well be about zero; a wider one says nothing of it."""


NUMBERS = ("ranks", "hosts")


def text(section: Mapping[str, Any]) -> str:
    """A benchmark's `scaling` for people: a table of strong scaling, the serial fraction, one of weak."""
    return "\n\n".join(
        [
            "\n".join(_head(section)),
            table(map(_strong_line, section["strong"]["rows"]), NUMBERS),
            "\n".join(_between(section)),
            table(map(_line, section["weak"]["rows"]), NUMBERS),
        ]
    )


def _head(section: Mapping[str, Any]) -> list[str]:
    idle, turns = section["idle_ranks"], len(section["strong"]["rows"][0]["seconds"]["samples"])
    job = _points(section["strong"]["job"])
    return [
        *([f"Idle = {number_of(idle, 'rank')}: a core for each of the others"] if idle else []),
        f"Strong scaling = {job}, by {section['by']}, {number_of(turns, 'turn')}",
        f"Same hits = {'yes' if section['same_hits'] else 'NO'}, in all rows and turns",
    ]


def _between(section: Mapping[str, Any]) -> list[str]:
    fraction = section["strong"]["serial_fraction"]
    fitted = (
        f"{_fraction(MedianCI.from_fields(fraction), interval=True)}, by Amdahl's law"
        if fraction
        else "unknown"
    )
    return [
        f"Serial fraction = {fitted}",
        f"Weak scaling = {_points(section['weak']['job'])} for each rank",
    ]


def _points(job: Mapping[str, int]) -> str:
    return f"{job['trials']} × {job['points_per_trial']} points"


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "ranks": str(row["ranks"]),
        "hosts": str(row["hosts"]),
        "time/s": format_ci(MedianCI.from_fields(row["seconds"])),
        "speed-up": _above_zero(MedianCI.from_fields(row["speed_up"])),
        "efficiency/%": _above_zero(MedianCI.from_fields(row["efficiency"]), 100),
    }


def _strong_line(row: Mapping[str, Any]) -> dict[str, str]:
    fraction = row["karp_flatt"]
    return _line(row) | {"Karp–Flatt": _fraction(MedianCI.from_fields(fraction)) if fraction else "-"}


def _above_zero(number: MedianCI, scale: float = 1.0) -> str:
    """A number with its interval. What is lost in noise is as short as can be, for the table's sake."""
    form = ".3g" if number.median * scale < 100 else ".0f"
    return LOST if number.inconclusive else format_ci(number, form, scale)


def _fraction(fraction: MedianCI, interval: bool = False) -> str:
    """A serial fraction, which may be as little as zero."""
    ends = f"({fraction.low:.4f} … {fraction.high:.4f})"
    if fraction.high - fraction.low > MAX_WIDTH:
        return f"{LOST} {ends}" if interval else LOST
    return f"{fraction.median:.4f} {ends}"
