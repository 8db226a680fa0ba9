"""Which version differences between the hosts of a job matter, for check-hosts, deploy and check alike.

The random streams are mpi_pi's own, so mpi_pi has to be the same everywhere. MPI libraries of two versions
may not understand each other. Other versions may differ: each host compiles its own kernel and tests it,
NumPy keeps SeedSequence stable (NEP 19), and messages are pickled with a protocol that every Python from 3.8
on reads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """A component, and what is to be said where its versions differ."""

    what: str
    key: str
    """Name of the version in what a host reports."""
    matters: bool
    advice: str


NO_OBSTACLE = "which is no obstacle: the hits are the same"
THE_SAME = "they have to be the same"

RULES = (
    Rule("mpi-pi", "package", True, THE_SAME),
    Rule("MPI", "mpi", True, THE_SAME),
    Rule("Python", "python", False, NO_OBSTACLE),
    Rule("NumPy", "numpy", False, NO_OBSTACLE),
    Rule("numba", "numba", False, NO_OBSTACLE),
    Rule("mpi4py", "mpi4py", False, NO_OBSTACLE),
)


def minor(python: str) -> str:
    """Return the minor version of a version of Python: 3.11 of 3.11.2."""
    return ".".join(python.split(".")[:2])


def known(what: str, version: str | None) -> str:
    """Return a version as it is compared; empty if it is not known, or not installed."""
    return minor(version or "") if what == "Python" else version or ""


def harmless(theirs: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each difference of a host from this one that does not matter.

    What is not known is not compared.
    """
    for rule in RULES:
        there, here = known(rule.what, theirs.get(rule.key)), known(rule.what, own.get(rule.key))
        if not rule.matters and there and here and there != here:
            yield f"it has {rule.what} {there}, and the client {here}, {rule.advice}"
