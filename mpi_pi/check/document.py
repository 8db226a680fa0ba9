"""The result of a check as a JSON document, written and read.

`storage/check.schema.json` describes it; its `schema` number changes whenever a reader of the old one could
fail on the new. Members may be added without that: readers ignore those that they do not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Any

from mpi_pi.check.changes import Baseline
from mpi_pi.check.diagnosis import fit
from mpi_pi.check.finding import Finding
from mpi_pi.check.hosts import Host, RankFacts, all_right, lowest_core_share, total
from mpi_pi.mpi.pingpong import Link
from mpi_pi.storage import json_document, schema
from mpi_pi.storage.json_document import DocumentError
from mpi_pi.system.machine import Machine, State
from mpi_pi.system.software import Software

KIND, SCHEMA = "check", 2

OLD_SCHEMA = 1
"""The schema before, which is read, too: without the date, among others."""

HOST_MEMBERS = (
    "address", "reachable", "machine", "idle", "loaded", "throttled_now", "throttled_since_boot",
    "points_per_second", "points_per_cpu_second", "core_share", "link",
)  # fmt: skip
RANK_MEMBERS = (
    "rank", "host", "reachable", "cpus", "software", "kernel", "right", "points_per_second",
    "points_per_cpu_second", "core_share", "problem",
)  # fmt: skip
RECORDS: Mapping[str, type[Any]] = {
    "machine": Machine, "software": Software, "idle": State, "loaded": State, "link": Link
}  # fmt: skip
"""Classes of the members that are objects."""
TEXTS = ("address", "kernel", "problem")
"""Texts that are null in the document if they are empty."""


def dumps(hosts: Sequence[Host], findings: Sequence[Finding]) -> str:
    """Return the document as text."""
    ranks = [replace(facts, host=host.name) for host in hosts for facts in host.ranks]
    members = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "fit": fit(findings),
        "findings": [asdict(finding) for finding in findings],
        "hosts": [{"host": host.name} | _members(host, HOST_MEMBERS) for host in hosts],
        "ranks": [_members(facts, RANK_MEMBERS) for facts in ranks],
    }
    return json_document.dumps(json_document.head(KIND, SCHEMA) | members)


def _members(facts: Host | RankFacts, names: Sequence[str]) -> dict[str, Any]:
    """Return the named members as a JSON object, in which null stands for what is not known."""
    values = asdict(facts)
    return {name: None if values[name] == "" else values[name] for name in names}


def read(name: str) -> Baseline:
    """Return the check in a file. Raises DocumentError."""
    document = json_document.document(json_document.content(name), KIND, OLD_SCHEMA, SCHEMA)
    schema.check(document, KIND)
    ranks = [RankFacts(**_facts(_with_rate(row), RankFacts)) for row in document["ranks"]]
    names = [row["host"] for row in document["hosts"]]
    if sorted(names) != sorted({facts.host for facts in ranks}):
        raise DocumentError("hosts: are not those of the ranks")
    return Baseline(document.get("date", ""), tuple(_host(row, ranks) for row in document["hosts"]))


def _with_rate(row: dict[str, Any]) -> dict[str, Any]:
    """Return a rank with its rate for CPU time, which schema 1 has not, but in the mean over the count."""
    rate, share = row["points_per_second"], row["core_share"]
    return {"points_per_cpu_second": rate / share if rate and share else None} | row


def _host(row: dict[str, Any], ranks: Sequence[RankFacts]) -> Host:
    own = tuple(facts for facts in ranks if facts.host == row["host"])
    derived = {
        "name": row["host"],
        "ranks": own,
        "right": all_right(own),
        "points_per_cpu_second": total(own, "points_per_cpu_second"),
        "core_share": lowest_core_share(own),
    }
    return Host(**_facts(row, Host) | derived)


def _facts(row: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Return the members of a JSON object that a class has as fields, with their types."""
    known = {field.name for field in fields(kind)}
    return {name: _value(name, value) for name, value in row.items() if name in known}


def _value(name: str, value: Any) -> Any:
    if name in RECORDS and value:
        return RECORDS[name](**_facts(value, RECORDS[name]))
    if value is None:
        return "" if name in TEXTS else None
    return _tuples(value)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
