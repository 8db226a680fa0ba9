"""The cost of rounds, for people."""

from collections.abc import Mapping
from typing import Any

from mpi_pi.bench.median import MedianCI
from mpi_pi.bench.round_model import MATTERS_SECONDS, MAX_RANKS
from mpi_pi.report.bench.numbers import format_ci
from mpi_pi.report.table import table

NUMBERS = ("ranks", "hosts", "planner/ms", "network/ms", "round/ms", "efficiency/%")


def text(section: Mapping[str, Any]) -> str:
    """A benchmark's `round` for people: what was measured, and apart from it the model."""
    link = section["link"]
    measured = [
        table(map(_measured_line, section["rows"]), NUMBERS),
        f"Slowest link = {_link(link)}" if link else "Slowest link = unknown, with one rank",
        table(map(_planner_line, section["planner"]), NUMBERS),
    ]
    return "\n\n".join([*measured, *(_model(section) if section["model"] else [])])


def _measured_line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "ranks": str(row["ranks"]),
        "hosts": str(row["hosts"]),
        "round besides counting/ms": format_ci(MedianCI.from_fields(row["seconds"]), scale=1e3),
    }


def _planner_line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "ranks": str(row["ranks"]),
        "books of rank 0, without network/ms": format_ci(MedianCI.from_fields(row["seconds"]), scale=1e3),
    }


def _link(link: Mapping[str, Any]) -> str:
    megabytes = link["bytes_per_second"] / 1e6
    return f"{link['latency_seconds'] * 1e6:.3g} µs, {megabytes:.3g} MB/s, to {link['host']}"


def _model(section: Mapping[str, Any]) -> list[str]:
    matters, ranks = (
        section["matters_from_ranks"],
        f"ranks, where a round costs {MATTERS_SECONDS * 1e3:.0f} ms",
    )
    return [
        "model, not measured:",
        table(map(_model_line, section["model"]), NUMBERS),
        f"Matters from = {matters or f'more than {MAX_RANKS}'} {ranks} and more",
        "\n".join(["It assumes that", *(f"- {assumption}" for assumption in section["assumptions"])]),
    ]


def _model_line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "ranks": str(row["ranks"]),
        "planner/ms": _milliseconds(row["planner_seconds"]),
        "network/ms": _milliseconds(row["network_seconds"]),
        "round/ms": _milliseconds(row["round_seconds"]),
        "efficiency/%": f"{row['efficiency'] * 100:.2f}",
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"
