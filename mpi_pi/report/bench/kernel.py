"""Section of a benchmark on the kernel and the baselines, on one core."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mpi_pi.bench.kernel import SHORT_SUBJECT, SHORT_TRIAL, SUBJECT
from mpi_pi.bench.median import MedianCI
from mpi_pi.report.bench.numbers import ci_cell, format_ci
from mpi_pi.report.blocks import Lines, Table, number

Row = Mapping[str, Any]

COLUMNS = ("one core", "million points/s", f"{SUBJECT} is … times as fast", "Gbit/s", "cycles")


def blocks(section: Mapping[str, Any]) -> list[Lines | Table]:
    """Return lines on the subject, and a table of all implementations."""
    rows = section["rows"]
    return [Lines([*_lines(rows)]), Table([_row(row) for row in rows], COLUMNS[1:], title="one core")]


def _lines(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    subject = rows[0]
    rate = MedianCI.from_fields(subject["points_per_second"])
    yield "Rate of a core", f"{_format(rate, 1e-6)} million points/s"
    bits = f"{subject['bits_per_point']:.3g} bits for a point"
    yield "Randomness", f"{_gigabits_per_second(subject):.3g} Gbit/s, {bits}"
    if (cycles := subject["cycles_per_point"]) is not None:
        yield "Cycles per point", f"{cycles:{_form(cycles)}}"
    if short := next((row for row in rows if row["name"] == SHORT_SUBJECT), None):
        # A short trial takes longer than as many points of a long one.
        turns = zip(rate.samples, MedianCI.from_fields(short["points_per_second"]).samples, strict=True)
        seeding = MedianCI.of(SHORT_TRIAL * (1 / of_short - 1 / of_long) for of_long, of_short in turns)
        yield "Seeding", f"{format_ci(seeding, '.2f', 1e6)} µs for each trial"
    baselines = [row for row in rows if not row["name"].startswith(SUBJECT)]
    if baselines:
        best = max(baselines, key=lambda row: float(row["points_per_second"]["median"]))
        times = _format(MedianCI.from_fields(best["times_as_fast"]))
        yield "Next", f"{best['name']}; how many times as fast {SUBJECT} is: {times}"


def _row(row: Row) -> dict[str, str]:
    times, cycles = MedianCI.from_fields(row["times_as_fast"]), row["cycles_per_point"]
    is_subject = set(times.samples) == {1.0}
    cells = (
        row["name"],
        _format(MedianCI.from_fields(row["points_per_second"]), 1e-6),
        ci_cell("", None) if is_subject else _format(times),
        number(_gigabits_per_second(row), ".3g"),
        number(cycles, "" if cycles is None else _form(cycles)),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def _gigabits_per_second(row: Row) -> float:
    return float(row["points_per_second"]["median"]) * float(row["bits_per_point"]) / 1e9


def _format(ci: MedianCI, scale: float = 1.0) -> str:
    return format_ci(ci, _form(ci.high * scale), scale)


def _form(largest: float) -> str:
    """Return the format of three digits, or of all that stand before the point."""
    return ".0f" if largest >= 1000 else ".3g"
