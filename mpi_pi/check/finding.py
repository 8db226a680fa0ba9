"""Findings on the hosts of a job."""

from dataclasses import dataclass

from mpi_pi.findings import Severity


@dataclass(frozen=True)
class Finding:
    """A fault of hosts, or a difference between them that is worth a note."""

    severity: Severity
    hosts: tuple[str, ...]
    text: str
    """A sentence that names the hosts and recommends a remedy."""
