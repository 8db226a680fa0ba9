"""What became faster or slower, for people."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mpi_pi.bench.comparison import UNKNOWN_NOISE, WORDS, Change, Measured, Metric, changes, measured
from mpi_pi.formatting import number_of
from mpi_pi.report.table import table


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, bool]:
    """What to say of two benchmarks (see bench.schema.json), and whether anything became slower.

    Raises ComparisonError if they have measured nothing that is the same.
    """
    found = changes(old, new)
    rows = [
        {
            "what": thing.what,
            "unit": change.old.unit,
            "old": _number(change.old),
            "new": _number(change.new),
            "times as long": change.times_as_long,
            "": change.word,
        }
        for thing, change in found.items()
    ]
    parts = [
        "\n".join([*_about(old, new), *_least(found.values())]),
        table(rows, numbers=("old", "new")),
        "\n".join(_summary(old, new, found)),
    ]
    return "\n\n".join(parts) + "\n", any(change.word == "slower" for change in found.values())


def _number(measured: Measured) -> str:
    return f"{measured.taken.median:{'.3e' if measured.unit == 'points/s' else '.4g'}}"


def _about(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Which two are compared, and in what they differ besides."""
    yield f"Old = {_origin(old)}"
    yield f"New = {_origin(new)}"
    before, after = _conditions(old), _conditions(new)
    for name in before | after:
        was, is_ = before.get(name), after.get(name)
        if was != is_:
            yield f"{name} = {_or_none(was)} (old), {_or_none(is_)} (new)"
    yield f"Noise = {_noise_in_words(old)} (old), {_noise_in_words(new)} (new)"


def _least(changes: Iterable[Change]) -> Iterator[str]:
    """How small a change could have been and yet be found: in one thing or another."""
    finite = [f"{least:.3g}" for least in sorted(change.least for change in changes) if math.isfinite(least)]
    if finite:
        yield f"Least change to be seen = {' … '.join(dict.fromkeys((finite[0], finite[-1])))} times"


def _origin(document: Mapping[str, Any]) -> str:
    machine = document["machine"]
    where = f"{number_of(machine['ranks'], 'rank')} on {number_of(machine['hosts'], 'host')}"
    return f"{document['date']}, mpi-pi {document['version']} on {machine['host']}, {where}"


def _conditions(document: Mapping[str, Any]) -> dict[str, Any]:
    """What may be the reason for a change, by names for people."""
    machine = document["machine"]
    return {
        "Version": document["version"],
        "Commit": document["commit"],
        "Host": machine["host"],
        "CPU": machine["cpu"],
        "Cores": machine["cores"],
        "Kernel": machine["kernel"],
        "Platform": machine["platform"],
        "Hosts": machine["hosts"],
        "Ranks": machine["ranks"],
        "Mode": "full" if document["full"] else "quick",
        **{f"Software {name}": version for name, version in document["software"].items()},
    }


def _or_none(value: object) -> object:
    return "none" if value is None else value


def _noise_in_words(document: Mapping[str, Any]) -> str:
    if document["noise"] is None:
        return f"not measured, {UNKNOWN_NOISE:.0%} assumed"
    return f"{document['noise']['slowdown']:.1%}"


def _summary(
    old: Mapping[str, Any], new: Mapping[str, Any], changes: Mapping[Metric, Change]
) -> Iterator[str]:
    """How much of what; and of jobs that became slower, which of their steps to look at."""
    counts = Counter(change.word for change in changes.values())
    for word in WORDS:
        yield f"{word.capitalize()} = {counts[word]} of {len(changes)}"
    left_out = [len(dict(measured(one)).keys() - changes.keys()) for one in (old, new)]
    if any(left_out):
        yield f"In one of them alone = {left_out[0]} (old), {left_out[1]} (new)"
    for thing, change in changes.items():
        if change.word == "slower" and (step := _most_slowed(change)):
            was, is_ = change.old.steps[step], change.new.steps[step]
            yield f"Most of {thing.what} = {step}, {was:.4g} s (old), {is_:.4g} s (new)"


def _most_slowed(change: Change) -> str | None:
    """The step that takes the most seconds more than before."""
    both = change.old.steps.keys() & change.new.steps.keys()
    return max(sorted(both), key=lambda step: change.new.steps[step] - change.old.steps[step], default=None)
