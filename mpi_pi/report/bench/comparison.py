"""Report on two benchmarks: their changes, and the other differences between them."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mpi_pi.bench.comparison import UNKNOWN_NOISE, VERDICTS, Change, Metric, measurements
from mpi_pi.bench.document import Benchmark
from mpi_pi.formatting import number_of
from mpi_pi.report.blocks import Lines, Table

Pairs = Iterator[tuple[str, str]]

FORMS = {"points/s": ".3e", "bytes/s": ".3e", "s": ".4g"}
"""Formats of medians, by unit."""


MAX_ROWS = 100
"""Changes up to which all are shown, and not only those that are slower or faster."""


def blocks(old: Benchmark, new: Benchmark, changes: Mapping[Metric, Change]) -> list[Lines | Table]:
    """Return the conditions of both benchmarks, a table of all changes, and a summary."""
    shown = changes
    if len(changes) > MAX_ROWS:
        shown = {
            metric: change for metric, change in changes.items() if change.verdict in ("slower", "faster")
        }
    rows = [
        {
            "what": metric.what,
            "unit": change.old.unit,
            "old": f"{change.old.ci.median:{FORMS[change.old.unit]}}",
            "new": f"{change.new.ci.median:{FORMS[change.new.unit]}}",
            "times as long": _times_as_long(change),
            "": change.verdict,
        }
        for metric, change in shown.items()
    ]
    left_out = len(changes) - len(shown)
    note = f"{left_out} that are the same or lost in noise are left out" if left_out else ""
    return [
        Lines([*_conditions(old, new), *_detectable(changes.values())]),
        *([Table(rows, ("old", "new"), note)] if rows else []),
        Lines([*_summary(old, new, changes)]),
    ]


def _times_as_long(change: Change) -> str:
    """Return the ratio of the medians, with the interval that decides."""
    if math.isinf(change.log_high):
        return "?"
    return f"{change.ratio:.3f} ({math.exp(change.log_low):.2f} … {math.exp(change.log_high):.2f})"


def _conditions(old: Benchmark, new: Benchmark) -> Pairs:
    """Generate the origins of both, and the conditions that differ between them."""
    for name, benchmark in (("Old", old), ("New", new)):
        machine = benchmark["machine"]
        where = f"{number_of(machine['ranks'], 'rank')} on {number_of(machine['hosts'], 'host')}"
        yield name, f"{benchmark['date']}, mpi-pi {benchmark['version']} on {machine['host']}, {where}"
    before, after = _by_name(old), _by_name(new)
    for name in before | after:
        was, is_ = ("none" if each.get(name) is None else each[name] for each in (before, after))
        if was != is_:
            yield name, f"{was} (old), {is_} (new)"
    yield "Noise", f"{_noise(old)} (old), {_noise(new)} (new)"


def _by_name(benchmark: Benchmark) -> dict[str, Any]:
    """Return the conditions that may be the reason for a change."""
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


def _noise(benchmark: Benchmark) -> str:
    if benchmark["noise"] is None:
        return f"not measured, {UNKNOWN_NOISE:.0%} assumed"
    return f"{benchmark['noise']['slowdown']:.1%}"


def _detectable(changes: Iterable[Change]) -> Pairs:
    """Generate the least change that would have been found, of the steadiest and the unsteadiest metric."""
    finite = [change.detectable for change in changes if math.isfinite(change.detectable)]
    if finite:
        ends = dict.fromkeys(f"{end:.3g}" for end in (min(finite), max(finite)))
        yield "Least change to be seen", f"{' … '.join(ends)} times"


def _summary(old: Benchmark, new: Benchmark, changes: Mapping[Metric, Change]) -> Pairs:
    """Generate the number of changes by verdict, and of each slower job the phase that slowed most."""
    counts = Counter(change.verdict for change in changes.values())
    for verdict in VERDICTS:
        yield verdict.capitalize(), f"{counts[verdict]} of {len(changes)}"
    left_out = [len(dict(measurements(each)).keys() - changes.keys()) for each in (old, new)]
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
