"""The part of a check's report on an earlier check, the baseline."""

from collections.abc import Sequence

from mpi_pi.check.changes import Baseline, Change, changes, pairs
from mpi_pi.check.hosts import Host
from mpi_pi.report.blocks import MAX_HOSTS, Block, Lines, Table, number

MAX_CHANGES = 2 * MAX_HOSTS

NUMBERS = ("then", "now", "times as good", "noise")
"""Columns of numbers."""


def blocks(hosts: Sequence[Host], baseline: Baseline | None, whole: bool = False) -> list[Block]:
    """Return a line on the baseline, and the table of changes, if there are any; nothing without baseline.

    The table has the worst of many changes alone, unless it is to be `whole`.
    """
    if baseline is None:
        return []
    both = len(pairs(hosts, baseline))
    head = Lines([("Baseline", f"{baseline.date or 'without date'}, {both} of {len(hosts)} hosts")])
    found = changes(hosts, baseline)
    if not found:
        return [head]
    note = "what is worse than noise explains is a fault"
    shown = found if whole else found[:MAX_CHANGES]
    if len(found) > len(shown):
        note = f"the {MAX_CHANGES} worst of {len(found)} changes, --csv FILE has them all; {note}"
    return [head, Table([_row(change) for change in shown], NUMBERS, note, "since the baseline")]


def _row(change: Change) -> dict[str, str]:
    form = change.metric.form
    return {
        "host": change.host,
        "measured": change.metric.name,
        "then": number(change.then, form),
        "now": number(change.now, form),
        "times as good": number(change.times, ".2f"),
        "noise": number(change.bound, ".2f"),
    }
