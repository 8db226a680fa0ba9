"""What `mpi-pi check` has found, as text for people and as JSON for scripts. Returns strings; prints nothing.

The JSON is described by `check.schema.json` beside this file; its `schema` number changes whenever a reader
of the old one could fail on the new.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from mpi_pi.check.hosts import Host, Row
from mpi_pi.check.rules import Finding, fit
from mpi_pi.formatting import number_of
from mpi_pi.report.table import table
from mpi_pi.storage import json_document
from mpi_pi.system.software import Software
from mpi_pi.version import __version__

KIND, SCHEMA = "check", 1

MAX_HOSTS = 20
"""Hosts that are listed in the text: those that something is wrong with before others, then the slowest."""
MAX_CPU_LETTERS = 32

NUMBERS = (
    "cores",
    "ranks",
    "stream",
    "points/s",
    "core share",
    "MHz",
    "temp/C",
    "latency/us",
    "MB/s",
    "skew/s",
)
"""Columns of these."""
UNKNOWN = "-"


def text(hosts: Sequence[Host], findings: Sequence[Finding]) -> str:
    """The report for people."""
    shown = _worst_first(hosts, findings) if len(hosts) > MAX_HOSTS else list(hosts)
    parts = [_head(hosts)]
    parts += [table(map(columns, shown), NUMBERS) for columns in (_hardware, _software, _measured)]
    if len(hosts) > len(shown):
        parts[-1] += f"\n({len(shown)} of {len(hosts)} hosts; --json FILE holds them all)"
    faults = sum(finding.severity == "fault" for finding in findings)
    verdict = "yes" if faults == 0 else f"no, {number_of(faults, 'fault')}"
    lines = [f"{finding.severity}: {finding.text}" for finding in findings]
    return "\n\n".join([*parts, "\n".join([*lines, f"Fit = {verdict}"])]) + "\n"


def _worst_first(hosts: Sequence[Host], findings: Sequence[Finding]) -> list[Host]:
    severity = {name: 1 for finding in findings for name in finding.hosts}
    severity |= {name: 2 for finding in findings if finding.severity == "fault" for name in finding.hosts}
    return sorted(
        hosts,
        key=lambda host: (-severity.get(host.name, 0), (host.points_per_second or 0) / len(host.rows)),
    )[:MAX_HOSTS]


def _head(hosts: Sequence[Host]) -> str:
    rows = [row for host in hosts for row in host.rows]
    told = [row.right for row in rows if row.right is not None]
    rates = [row.points_per_second for row in rows if row.points_per_second]
    counted = "all ranks" if len(rates) == len(rows) else f"{len(rates)} of {len(rows)} ranks"
    return "\n".join(
        [
            f"mpi-pi = {_kinds(rows, lambda software: f'{software.package}, stream {software.stream}')}",
            f"MPI = {_kinds(rows, lambda software: software.mpi)}",
            f"Hosts = {len(hosts)}, ranks = {len(rows)}",
            f"Known answer = {f'right on {sum(told)} of {len(rows)} ranks' if told else UNKNOWN}",
            f"Rate = {f'{sum(rates):.4e} points/s, {counted} at once' if rates else UNKNOWN}",
        ]
    )


def _hardware(host: Host) -> dict[str, str]:
    machine = host.machine
    return {
        "host": host.name,
        "address": host.address or UNKNOWN,
        "architecture": machine.architecture if machine else UNKNOWN,
        "CPU": _cut(machine.cpu, MAX_CPU_LETTERS) if machine else UNKNOWN,
        "flags": (machine and " ".join(machine.flags)) or UNKNOWN,
        "cores": str(machine.cores) if machine else UNKNOWN,
        "ranks": str(len(host.rows)),
    }


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 3] + "..."


def _software(host: Host) -> dict[str, str]:
    def version(name: str) -> str:
        return _kinds(host.rows, lambda software: str(getattr(software, name) or UNKNOWN))

    return {
        "host": host.name,
        "Python": version("python"),
        "mpi-pi": version("package"),
        "sources": version("sources"),
        "stream": version("stream"),
        "kernel": "/".join(dict.fromkeys(row.kernel for row in host.rows if row.kernel)) or UNKNOWN,
        "numba": version("numba"),
        "NumPy": version("numpy"),
        "MPI": version("mpi"),
    }


def _measured(host: Host) -> dict[str, str]:
    state, link = host.loaded, host.link
    most = host.machine.max_mhz if host.machine else None
    return {
        "host": host.name,
        "reachable": "yes" if host.reachable else "no",
        "right": {True: "yes", False: "no", None: UNKNOWN}[host.right],
        "points/s": _number(host.points_per_second, ".3e"),
        "core share": _number(host.core_share, ".0%"),
        "MHz": _number(state.mhz if state else None, ".0f") + (f"/{most:.0f}" if most else ""),
        "temp/C": _number(state.celsius if state else None, ".0f"),
        "throttled": _throttled(host),
        "latency/us": _number(link.latency_seconds * 1e6 if link else None, ".1f"),
        "MB/s": _number(link.bytes_per_second / 1e6 if link else None, ".1f"),
        "skew/s": _number(link.skew_seconds if link else None, "+.3f"),
    }


def _throttled(host: Host) -> str:
    if host.throttled_since_boot is None:
        return UNKNOWN
    return "now" if host.throttled_now else "earlier" if host.throttled_since_boot else "no"


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _kinds(rows: Iterable[Row], version: Callable[[Software], str]) -> str:
    """The distinct versions in the order of the ranks."""
    return "/".join(dict.fromkeys(version(row.software) for row in rows if row.software)) or UNKNOWN


def as_json(hosts: Sequence[Host], findings: Sequence[Finding]) -> str:
    """The report for scripts: one JSON object."""
    return json_document.dumps(
        {
            "schema": SCHEMA,
            "program": "mpi-pi",
            "kind": KIND,
            "version": __version__,
            "fit": fit(findings),
            "findings": [asdict(finding) for finding in findings],
            "hosts": [_host_object(host) for host in hosts],
            "ranks": [_rank_object(host, row) for host in hosts for row in host.rows],
        }
    )


def _host_object(host: Host) -> dict[str, Any]:
    return {
        "host": host.name,
        "address": host.address or None,
        "reachable": host.reachable,
        "machine": host.machine and asdict(host.machine),
        "idle": host.idle and asdict(host.idle),
        "loaded": host.loaded and asdict(host.loaded),
        "throttled_now": host.throttled_now,
        "throttled_since_boot": host.throttled_since_boot,
        "points_per_second": host.points_per_second,
        "link": host.link and asdict(host.link),
    }


def _rank_object(host: Host, row: Row) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "host": host.name,
        "reachable": row.reachable,
        "cpus": row.cpus,
        "software": row.software and asdict(row.software),
        "kernel": row.kernel or None,
        "right": row.right,
        "points_per_second": row.points_per_second,
        "core_share": row.core_share,
        "problem": row.problem or None,
    }
