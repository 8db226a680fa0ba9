"""The document of a benchmark, as `mpi-pi bench --json` writes it; see `storage/bench.schema.json`.

Its sections `noise`, `kernel`, `jobs`, `scaling`, `network` and `round` are made by a module each.
"""

import platform
from collections.abc import Callable, Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from mpi_pi.bench.median import MedianCI
from mpi_pi.storage import json_document, schema
from mpi_pi.storage.json_document import DocumentError
from mpi_pi.system import affinity, cpu, package
from mpi_pi.system.machine import clock_hz
from mpi_pi.system.software import software

KIND, SCHEMA = "benchmark", 2
WITHOUT_NETWORK = 1
"""The old schema that can still be read."""

SECTIONS = ("noise", "kernel", "jobs", "scaling", "network", "round")

Benchmark = dict[str, Any]

Progress = Callable[[float], object]
"""Called while a section is measured, with a number that grows from 0 to 1."""


def new(
    full: bool, kernel: str, mpi_library: str = "", hosts: Collection[str] = ("",), ranks: int = 1
) -> Benchmark:
    """Return a benchmark of this machine without any section."""
    members = {
        "commit": package.commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "full": full,
        "machine": {
            "host": platform.node(),
            "cpu": cpu.cpu_model(),
            "cores": affinity.online_cores(),
            "clock_hz": clock_hz(),
            "platform": platform.platform(),
            "kernel": kernel,
            "hosts": len(hosts),
            "ranks": ranks,
        },
        "software": asdict(software(mpi_library)),
    }
    return json_document.head(KIND, SCHEMA) | members | dict.fromkeys(SECTIONS)


def read(name: str) -> Benchmark:
    """Return the benchmark in a file. Raises DocumentError."""
    return of_content(json_document.content(name))


def of_content(content: bytes) -> Benchmark:
    """Return the benchmark in the content of a file. Raises DocumentError."""
    document = json_document.document(content, KIND, WITHOUT_NETWORK, SCHEMA)
    if document["schema"] == WITHOUT_NETWORK:
        document = {"network": None} | document | {"schema": SCHEMA}
    schema.check(document, "bench")
    _check_medians(document)
    _check_rows(document)
    return document


def _check_medians(value: Any, place: str = "") -> None:
    """Raise DocumentError unless every median and interval is that of its samples."""
    if isinstance(value, dict) and "samples" in value:
        if MedianCI.from_fields(value) != MedianCI.of(value["samples"]):
            raise DocumentError(f"{place.lstrip('.')}: is not the median and interval of its samples")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_medians(member, f"{place}.{name}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _check_medians(member, f"{place}[{index}]")


def _check_rows(document: Benchmark) -> None:
    """Raise DocumentError unless the rows that took turns are equally many, and those of scaling in order."""
    kernel, scaling = document["kernel"], document["scaling"]
    if kernel and len({len(row["points_per_second"]["samples"]) for row in kernel["rows"]}) > 1:
        raise DocumentError("kernel.rows: have not as many samples as each other")
    for kind in ("strong", "weak") if scaling else ():
        numbers = [row[scaling["by"]] for row in scaling[kind]["rows"]]
        if numbers != sorted(set(numbers)):
            raise DocumentError(f"scaling.{kind}.rows: the {scaling['by']} do not become more")
