"""The result of a check as a JSON document.

`storage/check.schema.json` describes it; its `schema` number changes whenever a reader of the old one could
fail on the new.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from mpi_pi.check.diagnosis import fit
from mpi_pi.check.finding import Finding
from mpi_pi.check.hosts import Host, RankFacts
from mpi_pi.storage import json_document

KIND, SCHEMA = "check", 1

HOST_MEMBERS = (
    "address", "reachable", "machine", "idle", "loaded", "throttled_now", "throttled_since_boot",
    "points_per_second", "link",
)  # fmt: skip
RANK_MEMBERS = (
    "rank", "host", "reachable", "cpus", "software", "kernel", "right", "points_per_second", "core_share",
    "problem",
)  # fmt: skip


def dumps(hosts: Sequence[Host], findings: Sequence[Finding]) -> str:
    """Return the document as text."""
    ranks = [replace(facts, host=host.name) for host in hosts for facts in host.ranks]
    members = {
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
