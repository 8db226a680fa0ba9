"""What `mpi-pi bench` has found out: the document, as JSON for scripts and as text for people.

The JSON is described by `bench.schema.json` beside this file. Its members `noise`, `kernel`, `jobs`,
`scaling` and `round` are the parts, each made, and told in words, by a module of its own.
"""

import itertools
import platform
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from mpi_pi.bench import median
from mpi_pi.formatting import number_of
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
        if median.from_fields(value) != median.of(value["samples"]):
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


def text(benchmark: Mapping[str, Any]) -> str:
    """The report for people."""
    return "\n\n".join([head(benchmark), *(text for _, text in sections(benchmark))]) + "\n"


def head(benchmark: Mapping[str, Any]) -> str:
    """What was measured, where and when."""
    machine, software = benchmark["machine"], benchmark["software"]
    commit = f", commit {benchmark['commit']}" if benchmark["commit"] else ""
    clock = f" at {machine['clock_hz'] / 1e9:.2f} GHz" if machine["clock_hz"] else ""
    names = [name for name in ("python", "numpy", "numba", "mpi4py", "mpi") if software[name]]
    return "\n".join(
        [
            f"mpi-pi = {benchmark['version']}{commit}",
            f"Benchmark = {'full' if benchmark['full'] else 'quick'}, {benchmark['date']}",
            f"Ranks = {machine['ranks']} on {number_of(machine['hosts'], 'host')}",
            f"Host = {machine['host']}, {number_of(machine['cores'], 'core')}, {machine['platform']}",
            f"CPU = {machine['cpu']}{clock}",
            f"Kernel = {machine['kernel']}",
            f"Software = {', '.join(f'{name} {software[name]}' for name in names)}",
        ]
    )


def sections(benchmark: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A title and the text of each part that was measured."""
    from mpi_pi.bench import jobs as job_bench
    from mpi_pi.bench import kernel as kernel_bench
    from mpi_pi.bench import noise, round_model, scaling

    tellers: dict[str, tuple[str, Callable[[Any], str]]] = {
        "noise": ("Noise", noise.text),
        "kernel": ("One core", kernel_bench.text),
        "jobs": ("Whole jobs", lambda jobs: job_bench.text(jobs, benchmark["full"])),
        "scaling": ("Scaling", scaling.text),
        "round": ("Rounds", round_model.text),
    }
    return [(title, tell(benchmark[part])) for part, (title, tell) in tellers.items() if benchmark[part]]
