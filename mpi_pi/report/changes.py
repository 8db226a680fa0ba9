"""The part of a check's report on an earlier check, the baseline."""

from collections.abc import Sequence

from mpi_pi.check.changes import Baseline, Change, changes, pairs
from mpi_pi.check.hosts import Host
from mpi_pi.report.blocks import MAX_HOSTS, Block, Lines, Table

MAX_CHANGES = 2 * MAX_HOSTS

NUMBERS = ("then", "now", "times as good", "noise")
"""Columns of numbers."""


def blocks(hosts: Sequence[Host], baseline: Baseline | None) -> list[Block]:
    """Return a line on the baseline, and the table of changes, if there are any; nothing without baseline."""
    if baseline is None:
        return []
    both = len(pairs(hosts, baseline))
    head = Lines([("Baseline", f"{baseline.date or 'without date'}, {both} of {len(hosts)} hosts")])
    found = changes(hosts, baseline)
    if not found:
        return [head]
    note = "what is worse than noise explains is a fault"
    if len(found) > MAX_CHANGES:
        note = f"the {MAX_CHANGES} worst of {len(found)} changes; {note}"
    return [head, Table([_row(change) for change in found[:MAX_CHANGES]], NUMBERS, note)]


def _row(change: Change) -> dict[str, str]:
    then, now = (format(value, change.metric.form) for value in (change.then, change.now))
    return {
        "host": change.host,
        "measured": change.metric.name,
        "then": then,
        "now": now,
        "times as good": f"{change.times:.2f}",
        "noise": "-" if change.bound is None else f"{change.bound:.2f}",
    }
