"""Rules that find hosts, each with a sentence about them that recommends a remedy."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from mpi_pi.formatting import format_some

MAX_NAMES = 8
"""Hosts that are named in a sentence."""

Severity = Literal["fault", "note"]

Find = TypeVar("Find")


class Observation(NamedTuple):
    """A host that a rule applies to."""

    host: str
    detail: str = ""
    """Written in brackets after the name of the host."""
    values: tuple[object, ...] = ()
    """Values for the placeholders in the sentence of the rule."""


class Rule(NamedTuple, Generic[Find]):
    """A sentence about hosts, and the function that finds them."""

    severity: Severity
    sentence: str
    """The end of a sentence that begins with the names of the hosts, with placeholders as of str.format."""
    find: Find


def fault(sentence: str) -> Callable[[Find], Rule[Find]]:
    """Return a decorator that makes a rule on faults of a function that finds the hosts."""
    return lambda find: Rule("fault", sentence, find)


def note(sentence: str) -> Callable[[Find], Rule[Find]]:
    """Return a decorator that makes a rule on what is no fault of such a function."""
    return lambda find: Rule("note", sentence, find)


def sentences(rule: Rule[Any], seen: Iterable[Observation]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Generate hosts, and a sentence about them; those that the same one is about share it."""
    by_sentence: dict[str, list[Observation]] = {}
    for one in seen:
        by_sentence.setdefault(rule.sentence.format(*one.values), []).append(one)
    for sentence, alike in by_sentence.items():
        names = [f"{one.host} ({one.detail})" if one.detail else one.host for one in alike]
        yield tuple(one.host for one in alike), f"{format_some(names, MAX_NAMES)}: {sentence}"
