"""What `mpi-pi bench` has found out: the document, as JSON for scripts and as text for people.

The JSON is described by `bench.schema.json` beside this file. Its members `noise`, `kernel`, `jobs`,
`scaling` and `round` are the parts, each made, and told in words, by a module of its own.
"""

import itertools
import platform
from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from mpi_pi.bench.median import MedianCI
from mpi_pi.storage import json_document, schema
from mpi_pi.system import affinity, cpu, package
from mpi_pi.version import __version__

KIND, SCHEMA = "benchmark", 1

PARTS = ("noise", "kernel", "jobs", "scaling", "round")

Benchmark = dict[str, Any]


def new(
    full: bool, kernel: str, mpi_library: str = "", hosts: Collection[str] = ("",), ranks: int = 1
) -> Benchmark:
    """A benchmark of this machine, in which nothing has been measured yet."""
    from mpi_pi.system.machine import clock_hz
    from mpi_pi.system.software import software

    return {
        "schema": SCHEMA,
        "program": "mpi-pi",
        "kind": KIND,
        "version": __version__,
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
    } | dict.fromkeys(PARTS)


def read(name: str) -> Benchmark:
    """Return the benchmark in a file of `mpi-pi bench --json`. Raises sealed.DocumentError."""
    return of_content(json_document.content(name))


def of_content(content: bytes) -> Benchmark:
    """Return the benchmark that was in a file. Raises DocumentError if it could not have been written."""
    document = json_document.document(content, KIND, number=SCHEMA)
    try:
        schema.check(document, "bench")
        _check_spreads(document)
        _check_rows(document)
    except schema.SchemaError as error:
        raise json_document.DocumentError(str(error).lstrip(".")) from error
    return document


def _check_spreads(value: Any, place: str = "") -> None:
    """Raise Mismatch unless every median and interval is that of its samples."""
    if isinstance(value, dict) and "samples" in value:
        if MedianCI.from_fields(value) != MedianCI.of(value["samples"]):
            raise schema.SchemaError(f"{place}: is not the median and interval of its samples")
        return
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, member in members:
        _check_spreads(member, f"{place}[{name}]" if isinstance(value, list) else f"{place}.{name}")


def _check_rows(document: Benchmark) -> None:
    """Raise Mismatch unless rows that took turns have equally many, and ranks become more from row to row."""
    kernel, scaling = document["kernel"], document["scaling"]
    if kernel and len({len(row["points_per_second"]["samples"]) for row in kernel["rows"]}) > 1:
        raise schema.SchemaError("kernel.rows: have not as many samples as each other")
    for kind in ("strong", "weak") if scaling else ():
        numbers = [row[scaling["by"]] for row in scaling[kind]["rows"]]
        if any(more <= fewer for fewer, more in itertools.pairwise(numbers)):
            raise schema.SchemaError(f"scaling.{kind}.rows: the {scaling['by']} do not become more")


def as_json(benchmark: Benchmark) -> str:
    """The document as text."""
    return json_document.dumps(benchmark)
