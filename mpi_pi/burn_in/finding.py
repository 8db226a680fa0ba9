"""Findings of a burn-in."""

from dataclasses import dataclass

from mpi_pi.findings import Severity


@dataclass(frozen=True)
class Finding:
    """A fault of hosts in a phase, or what is worth a note. The names of the fields are JSON members."""

    severity: Severity
    phase: str
    """Name of the phase; "" for what is so in all of them."""
    hosts: tuple[str, ...]
    text: str
    """A sentence that names phase and hosts, and recommends a remedy."""
