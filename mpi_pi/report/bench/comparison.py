"""Report on two benchmarks: what became faster or slower, and what else differs between them."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mpi_pi.bench.comparison import (
    UNKNOWN_NOISE,
    VERDICTS,
    Benchmark,
    Change,
    Measurement,
    Metric,
    measurements,
)
from mpi_pi.formatting import number_of
from mpi_pi.report.blocks import Lines, Table

Pairs = Iterator[tuple[str, str]]


def blocks(old: Benchmark, new: Benchmark, changes: Mapping[Metric, Change]) -> list[Lines | Table]:
    """Return the conditions of both benchmarks, a table of all changes, and a summary."""
    rows = [
        {
            "what": metric.what,
            "unit": change.old.unit,
            "old": _number(change.old),
            "new": _number(change.new),
            "times as long": _times_as_long(change),
            "": change.verdict,
        }
        for metric, change in changes.items()
    ]
    return [
        Lines([*_about(old, new), *_detectable(changes.values())]),
        Table(rows, ("old", "new")),
        Lines(list(_summary(old, new, changes))),
    ]


def _number(measurement: Measurement) -> str:
    return f"{measurement.ci.median:{'.3e' if measurement.unit == 'points/s' else '.4g'}}"


def _times_as_long(change: Change) -> str:
    """Return the ratio of the medians, with the interval that decides."""
    if math.isinf(change.log_high):
        return "?"
    return f"{change.ratio:.3f} ({math.exp(change.log_low):.2f} … {math.exp(change.log_high):.2f})"


def _about(old: Benchmark, new: Benchmark) -> Pairs:
    yield "Old", _origin(old)
    yield "New", _origin(new)
    before, after = _conditions(old), _conditions(new)
    for name in before | after:
        was, is_ = before.get(name), after.get(name)
        if was != is_:
            yield name, f"{_or_none(was)} (old), {_or_none(is_)} (new)"
    yield "Noise", f"{_noise(old)} (old), {_noise(new)} (new)"


def _origin(benchmark: Benchmark) -> str:
    machine = benchmark["machine"]
    where = f"{number_of(machine['ranks'], 'rank')} on {number_of(machine['hosts'], 'host')}"
    return f"{benchmark['date']}, mpi-pi {benchmark['version']} on {machine['host']}, {where}"


def _conditions(benchmark: Benchmark) -> dict[str, Any]:
    """Return what may be the reason for a change."""
    machine = benchmark["machine"]
    return {
        "Version": benchmark["version"],
        "Commit": benchmark["commit"],
        "Host": machine["host"],
        "CPU": machine["cpu"],
        **{name.capitalize(): machine[name] for name in ("cores", "kernel", "platform", "hosts", "ranks")},
        "Mode": "full" if benchmark["full"] else "quick",
        **{f"Software {name}": version for name, version in benchmark["software"].items()},
    }


def _or_none(value: object) -> object:
    return "none" if value is None else value


def _noise(benchmark: Benchmark) -> str:
    if benchmark["noise"] is None:
        return f"not measured, {UNKNOWN_NOISE:.0%} assumed"
    return f"{benchmark['noise']['slowdown']:.1%}"


def _detectable(changes: Iterable[Change]) -> Pairs:
    """Generate how small a change of the steadiest and of the unsteadiest metric would have been found."""
    least = sorted(change.detectable for change in changes)
    finite = [f"{each:.3g}" for each in least if math.isfinite(each)]
    if finite:
        ends = " … ".join(dict.fromkeys((finite[0], finite[-1])))
        yield "Least change to be seen", f"{ends} times"


def _summary(old: Benchmark, new: Benchmark, changes: Mapping[Metric, Change]) -> Pairs:
    """Generate the number of changes by verdict; and of slower jobs the phase that is to be looked at."""
    counts = Counter(change.verdict for change in changes.values())
    for verdict in VERDICTS:
        yield verdict.capitalize(), f"{counts[verdict]} of {len(changes)}"
    left_out = [len(measurements(each).keys() - changes.keys()) for each in (old, new)]
    if any(left_out):
        yield "In one of them alone", f"{left_out[0]} (old), {left_out[1]} (new)"
    for metric, change in changes.items():
        if change.verdict == "slower" and (phase := _most_slowed(change)):
            was, is_ = change.old.phases[phase], change.new.phases[phase]
            yield f"Most of {metric.what}", f"{phase}, {was:.4g} s (old), {is_:.4g} s (new)"


def _most_slowed(change: Change) -> str | None:
    """Return the phase that takes the most seconds more than before, if there are phases."""
    old, new = change.old.phases, change.new.phases
    return max(sorted(old.keys() & new.keys()), key=lambda phase: new[phase] - old[phase], default=None)
