"""Which differences between the hosts of a job matter: one opinion for check-hosts, deploy and check.

The stream of points is mpi_pi's own, so mpi_pi has to be the same everywhere. MPI libraries of two versions
may not understand each other. All else is each host's own affair: the kernel is compiled for each by itself
and checked by known answers, NumPy keeps SeedSequence as it is (NEP 19), and what ranks tell each other is
pickled by a protocol that every Python from 3.8 on has.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """What may differ, and what is to be said of it then."""

    what: str
    key: str
    """Of the version, in what a host tells."""
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
    """The part of a version of Python that says what it can do: 3.11 of 3.11.2."""
    return ".".join(python.split(".")[:2])


def known(what: str, version: str | None) -> str:
    """A version as it is compared; empty if it is not known, or not there."""
    return minor(version or "") if what == "Python" else version or ""


def harmless(theirs: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    """What is different on a host than here, and may be. What is not known is not compared."""
    for rule in RULES:
        there, here = known(rule.what, theirs.get(rule.key)), known(rule.what, own.get(rule.key))
        if not rule.matters and there and here and there != here:
            yield f"it has {rule.what} {there}, and the client {here}, {rule.advice}"
