"""The kernel beside what people write, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpi_pi.bench.kernel import OURS, OURS_SHORT, SHORT_TRIAL
from mpi_pi.bench.median import MedianCI
from mpi_pi.report.bench.numbers import format_ci
from mpi_pi.report.table import table


def text(section: Mapping[str, Any]) -> str:
    """The section for people."""
    return "\n\n".join(["\n".join(_lines(section["rows"])), table(map(_line, section["rows"]), COLUMNS[1:])])


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the numbers mean."""
    own = rows[0]
    rate = MedianCI.from_fields(own["points_per_second"])
    lines = [
        f"Rate of a core = {_in_words(rate, 1e-6)} million points/s",
        f"Randomness = {_gigabits(own):.3g} Gbit/s, {own['bits_per_point']:.3g} bits for a point",
    ]
    if own["cycles_per_point"] is not None:
        lines.append(f"Cycles per point = {_digits(own['cycles_per_point'])}")
    by_name = {row["name"]: row for row in rows}
    if OURS_SHORT in by_name:
        seeding = _seeding(own, by_name[OURS_SHORT])
        lines.append(f"Seeding = {format_ci(seeding, '.2f', 1e6)} µs for each trial")
    others = [row for row in rows if not row["name"].startswith(OURS)]
    if others:
        best = max(others, key=lambda row: float(row["points_per_second"]["median"]))
        times = _in_words(MedianCI.from_fields(best["times_as_fast"]))
        lines.append(f"Next = {best['name']}; how many times as fast {OURS} is: {times}")
    return lines


def _seeding(long: Mapping[str, Any], short: Mapping[str, Any]) -> MedianCI:
    """Seconds that a short trial takes longer than as many points of a long one, turn by turn."""
    rates = [MedianCI.from_fields(row["points_per_second"]).samples for row in (long, short)]
    return MedianCI.of(SHORT_TRIAL * (1 / b - 1 / a) for a, b in zip(*rates, strict=True))


COLUMNS = ("one core", "million points/s", f"{OURS} is … times as fast", "Gbit/s", "cycles")


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    rate = MedianCI.from_fields(row["points_per_second"])
    times = MedianCI.from_fields(row["times_as_fast"])
    cycles = row["cycles_per_point"]
    first = set(times.samples) == {1.0}
    cells = (
        row["name"],
        _in_words(rate, 1e-6),
        "" if first else _in_words(times),
        f"{_gigabits(row):.3g}",
        "-" if cycles is None else _digits(cycles),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def _gigabits(row: Mapping[str, Any]) -> float:
    """Of randomness in a second."""
    return float(row["points_per_second"]["median"]) * float(row["bits_per_point"]) / 1e9


def _in_words(numbers: MedianCI, scale: float = 1.0) -> str:
    return format_ci(numbers, _form(numbers.high * scale), scale)


def _digits(number: float) -> str:
    return f"{number:{_form(number)}}"


def _form(largest: float) -> str:
    """Three digits, and all that stand before the point."""
    return ".0f" if largest >= 1000 else ".3g"
