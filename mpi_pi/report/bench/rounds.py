"""Section of a benchmark on the cost of a round: what was measured, and apart from it the model."""

from collections.abc import Mapping
from typing import Any

from mpi_pi.bench.median import MedianCI
from mpi_pi.bench.round_model import MATTERS_SECONDS, MAX_RANKS
from mpi_pi.report.bench.numbers import format_ci
from mpi_pi.report.blocks import Lines, Table

Row = Mapping[str, Any]

NUMBERS = ("ranks", "hosts", "planner/ms", "network/ms", "round/ms", "efficiency/%")


def blocks(section: Mapping[str, Any]) -> list[Lines | Table]:
    """Return tables of rounds and of the manager, the slowest link, and the model, if there is one."""
    rows = [
        {"ranks": str(row["ranks"]), "hosts": str(row["hosts"]), "round besides counting/ms": _measured(row)}
        for row in section["rows"]
    ]
    manager = [
        {"ranks": str(row["ranks"]), "books of rank 0, without network/ms": _measured(row)}
        for row in section["planner"]
    ]
    link = _link(section["link"]) if section["link"] else "unknown, with one rank"
    return [
        Table(rows, NUMBERS),
        Lines([("Slowest link", link)]),
        Table(manager, NUMBERS),
        *(_model(section) if section["model"] else ()),
    ]


def _measured(row: Row) -> str:
    return format_ci(MedianCI.from_fields(row["seconds"]), scale=1e3)


def _link(link: Mapping[str, Any]) -> str:
    megabytes = link["bytes_per_second"] / 1e6
    return f"{link['latency_seconds'] * 1e6:.3g} µs, {megabytes:.3g} MB/s, to {link['host']}"


def _model(section: Mapping[str, Any]) -> list[Lines | Table]:
    ranks = section["matters_from_ranks"] or f"more than {MAX_RANKS}"
    where = f"{ranks} ranks, where a round costs {MATTERS_SECONDS * 1e3:.0f} ms and more"
    return [
        Lines(["model, not measured:"]),
        Table([_model_row(row) for row in section["model"]], NUMBERS),
        Lines([("Matters from", where)]),
        Lines(["It assumes that", *(f"- {assumption}" for assumption in section["assumptions"])]),
    ]


def _model_row(row: Row) -> dict[str, str]:
    return {
        "ranks": str(row["ranks"]),
        "planner/ms": _milliseconds(row["planner_seconds"]),
        "network/ms": _milliseconds(row["network_seconds"]),
        "round/ms": _milliseconds(row["round_seconds"]),
        "efficiency/%": f"{row['efficiency'] * 100:.2f}",
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"
