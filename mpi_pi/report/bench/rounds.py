"""Section of a benchmark on the cost of a round: the measured numbers, and apart from them the model."""

from collections.abc import Mapping
from typing import Any

from mpi_pi.bench.median import MedianCI
from mpi_pi.bench.round_model import MATTERS_SECONDS, MAX_RANKS
from mpi_pi.report.bench.numbers import format_ci
from mpi_pi.report.blocks import Lines, Table, number

NUMBERS = ("ranks", "hosts", "planner/ms", "network/ms", "round/ms", "efficiency/%")


def blocks(section: Mapping[str, Any]) -> list[Lines | Table]:
    """Return tables of rounds and of the manager, the slowest link, and the model, if there is one."""
    rows = [
        {
            "ranks": number(row["ranks"]),
            "hosts": number(row["hosts"]),
            "round besides counting/ms": _measured(row),
        }
        for row in section["rows"]
    ]
    manager = [
        {"ranks": number(row["ranks"]), "books of rank 0, without network/ms": _measured(row)}
        for row in section["planner"]
    ]
    slowest = "unknown, with one rank"
    if link := section["link"]:
        latency, rate = link["latency_seconds"] * 1e6, link["bytes_per_second"] / 1e6
        slowest = f"{latency:.3g} µs, {rate:.3g} MB/s, to {link['host']}"
    model = _model(section) if section["model"] else []
    return [
        Table(rows, NUMBERS, title="rounds"),
        Lines([("Slowest link", slowest)]),
        Table(manager, NUMBERS, title="manager"),
        *model,
    ]


def _measured(row: Mapping[str, Any]) -> str:
    return format_ci(MedianCI.from_fields(row["seconds"]), scale=1e3)


def _model(section: Mapping[str, Any]) -> list[Lines | Table]:
    rows = [
        {"ranks": number(row["ranks"])}
        | {f"{part}/ms": _milliseconds(row[f"{part}_seconds"]) for part in ("planner", "network", "round")}
        | {"efficiency/%": number(row["efficiency"] * 100, ".2f")}
        for row in section["model"]
    ]
    ranks = section["matters_from_ranks"] or f"more than {MAX_RANKS}"
    where = f"{ranks} ranks, where a round costs {MATTERS_SECONDS * 1e3:.0f} ms and more"
    return [
        Lines(["model, not measured:"]),
        Table(rows, NUMBERS, title="model of rounds"),
        Lines([("Matters from", where)]),
        Lines(["It assumes that", *(f"- {assumption}" for assumption in section["assumptions"])]),
    ]


def _milliseconds(seconds: float) -> str:
    return number(seconds * 1e3, ".3g" if seconds < 0.1 else ".0f")
