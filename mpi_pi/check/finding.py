"""Findings on the hosts of a job, and the form of the rules that they come from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mpi_pi.check.hosts import Host

Severity = Literal["fault", "note"]


@dataclass(frozen=True)
class Finding:
    """A fault of hosts, or a difference between them that is worth a note."""

    severity: Severity
    hosts: tuple[str, ...]
    text: str
    """A sentence that names the hosts and recommends a remedy."""


class Observation(NamedTuple):
    """A host that a rule applies to."""

    host: str
    detail: str = ""
    """Written in brackets after the name of the host."""
    values: tuple[object, ...] = ()
    """Values for the placeholders in the sentence of the rule."""


Find = Callable[[Sequence[Host]], Iterable[Observation]]


class Rule(NamedTuple):
    """A sentence about hosts, and the function that finds them."""

    severity: Severity
    sentence: str
    """The end of a sentence that begins with the names of the hosts, with placeholders as of str.format."""
    find: Find


def fault(sentence: str) -> Callable[[Find], Rule]:
    """Return a decorator that makes a rule on faults of a function that finds the hosts."""
    return lambda find: Rule("fault", sentence, find)


def note(sentence: str) -> Callable[[Find], Rule]:
    """Return a decorator that makes a rule on differences, which are no faults, of such a function."""
    return lambda find: Rule("note", sentence, find)
