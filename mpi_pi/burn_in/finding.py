"""Findings of a burn-in, and the form of the rules that they come from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mpi_pi.burn_in.outcome import BurnIn, PhaseOutcome

Severity = Literal["fault", "note"]


@dataclass(frozen=True)
class Finding:
    """A fault of hosts in a phase, or what is worth a note. The names of the fields are JSON members."""

    severity: Severity
    phase: str
    """Name of the phase; "" for what is so in all of them."""
    hosts: tuple[str, ...]
    text: str
    """A sentence that names phase and hosts, and recommends a remedy."""


class Seen(NamedTuple):
    """A host that a rule applies to."""

    host: int
    """Its place among the hosts."""
    detail: str = ""
    """Written in brackets after the name of the host."""
    values: tuple[object, ...] = ()
    """Values for the placeholders in the sentence of the rule."""


Find = Callable[[BurnIn, PhaseOutcome], Iterable[Seen]]


class Rule(NamedTuple):
    """A sentence about hosts in a phase, and the function that finds them."""

    severity: Severity
    sentence: str
    """The end of a sentence that begins with the names of the hosts, with placeholders as of str.format."""
    find: Find


def fault(sentence: str) -> Callable[[Find], Rule]:
    """Return a decorator that makes a rule on faults."""
    return lambda find: Rule("fault", sentence, find)


def note(sentence: str) -> Callable[[Find], Rule]:
    """Return a decorator that makes a rule on what is no fault."""
    return lambda find: Rule("note", sentence, find)
