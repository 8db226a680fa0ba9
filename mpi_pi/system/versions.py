"""Versions that have to match on the hosts of a job, and versions that may differ.

The random streams are mpi_pi's own, so mpi_pi has to be the same everywhere. MPI libraries of two versions
may not understand each other. Other versions may differ: each host compiles its own kernel and tests it,
NumPy keeps SeedSequence stable (NEP 19), and messages are pickled with a protocol that every Python from 3.8
on reads.
"""

from collections.abc import Iterator, Mapping
from typing import Any

MUST_MATCH = {"mpi-pi": "package", "MPI": "mpi"}
MAY_DIFFER = {"Python": "python", "NumPy": "numpy", "numba": "numba", "mpi4py": "mpi4py"}
"""Names of versions in what a host reports, by component."""

THE_SAME = "they have to be the same"
NO_OBSTACLE = "which is no obstacle: the hits are the same"


def minor(python: str) -> str:
    """Return the minor version of a version of Python: 3.11 of 3.11.2."""
    return ".".join(python.split(".")[:2])


def known(component: str, version: str | None) -> str:
    """Return a version as it is compared; "" if it is not known, or not installed."""
    return minor(version or "") if component == "Python" else version or ""


def harmless(theirs: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    """Generate a line for each known version of a host that may differ from this one's, and does."""
    for component, key in MAY_DIFFER.items():
        there, here = known(component, theirs.get(key)), known(component, own.get(key))
        if there and here and there != here:
            yield f"it has {component} {there}, and the client {here}, {NO_OBSTACLE}"
