"""The result of a check as a JSON document.

`storage/check.schema.json` describes it; its `schema` number changes whenever a reader of the old one could
fail on the new.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mpi_pi.check.diagnosis import fit
from mpi_pi.check.finding import Finding
from mpi_pi.check.hosts import Host, RankFacts
from mpi_pi.storage import json_document
from mpi_pi.version import __version__

KIND, SCHEMA = "check", 1


def dumps(hosts: Sequence[Host], findings: Sequence[Finding]) -> str:
    """Return the document as text."""
    return json_document.dumps(
        {
            "schema": SCHEMA,
            "program": "mpi-pi",
            "kind": KIND,
            "version": __version__,
            "fit": fit(findings),
            "findings": [asdict(finding) for finding in findings],
            "hosts": [_host_object(host) for host in hosts],
            "ranks": [_rank_object(host, facts) for host in hosts for facts in host.ranks],
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


def _rank_object(host: Host, facts: RankFacts) -> dict[str, Any]:
    return {
        "rank": facts.rank,
        "host": host.name,
        "reachable": facts.reachable,
        "cpus": facts.cpus,
        "software": facts.software and asdict(facts.software),
        "kernel": facts.kernel or None,
        "right": facts.right,
        "points_per_second": facts.points_per_second,
        "core_share": facts.core_share,
        "problem": facts.problem or None,
    }
