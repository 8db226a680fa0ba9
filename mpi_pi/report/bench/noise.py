"""The noise of a machine, for people."""

from collections.abc import Mapping
from typing import Any

from mpi_pi.formatting import number_of
from mpi_pi.report.table import table

MAX_HOSTS = 10
"""That are listed in the text, the noisiest."""


def text(section: Mapping[str, Any]) -> str:
    """The section for people."""
    rows = section["rows"]
    quantum = f"{section['quantum_seconds'] * 1e3:.3g} ms"
    worst = max(rows, key=lambda row: float(row["slowdown"]))
    lines = [
        f"Noise = {_percent(section['slowdown'])}, the mean over the shortest time for {quantum} of work",
        f"Noise, 99th percentile = {_percent(worst['p99'])}",
        f"Noise, longest = {_percent(worst['longest'])}",
        f"Stolen by the hypervisor = {_percent(worst['stolen'])}",
    ]
    if len(rows) == 1:
        return "\n".join(lines)
    shown = sorted(rows, key=lambda row: -float(row["slowdown"]))[:MAX_HOSTS]
    lines[0] += f", on {worst['host']}"
    listed = table(map(_line, shown), _NUMBERS)
    if len(rows) > len(shown):
        listed += f"\n(the noisiest of {number_of(len(rows), 'host')})"
    return "\n".join(lines) + "\n\n" + listed


_NUMBERS = ("ranks", "noise", "99th percentile", "longest", "stolen")


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "host": row["host"],
        "ranks": str(row["ranks"]),
        "noise": _percent(row["slowdown"]),
        "99th percentile": _percent(row["p99"]),
        "longest": _percent(row["longest"]),
        "stolen": _percent(row["stolen"]),
    }


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
