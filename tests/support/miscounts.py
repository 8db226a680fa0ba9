"""Kernels that count some units of a job wrongly, though they always count the known answers.

This module is imported by the faulty process: it needs the standard library alone.
"""

import functools
import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple


class Unit(NamedTuple):
    """A unit that is being counted."""

    number: int
    is_last: bool
    """True if it is the last one of a call of the kernel."""
    call: int
    """Number of calls of the kernel before this one, but for known answers."""
    recounted: bool
    """True if the unit is counted again, for the audit of another rank."""
    rank: int


Wrong = Callable[[Unit], bool]

ONE = 12
"""A unit that `always the same` counts wrongly."""

LATER = 12
"""Calls of a kernel before it gets warm."""

FAR = 1 << 62


def _each(number: int) -> Wrong:
    # Ranks that are wrong together must not agree.
    return lambda unit: (unit.number + unit.rank) % number == 3


WRONG: dict[str, tuple[Wrong, int]] = {
    "each tenth unit": (_each(10), 1),
    "one unit in fifty": (lambda unit: unit.number % 50 == 7, 1),
    "the same units on all ranks": (lambda unit: unit.number % 10 == 3, 1),
    "always the same unit": (lambda unit: unit.number == ONE, -1),
    "units under load": (lambda unit: unit.call >= LATER, 1),
    "the audit": (lambda unit: unit.recounted and unit.number % 3 == 1, 1),
    "the first count": (lambda unit: not unit.recounted and unit.number % 3 == 1, 1),
    "the last unit of each call": (lambda unit: unit.is_last, 1),
    "units by far": (_each(5), FAR),
}
"""By name: whether a unit is counted wrongly, and by how many hits."""


def miscounting(wrong: Wrong, hits: int, rank: int, load: Callable[..., Any], act: Callable[[], None]) -> Any:
    """Return a function that loads a kernel of a rank which counts so many hits more in units that are wrong.

    `act` is called after each of them.
    """
    audits = _Audits()

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from mpi_pi.kernel.known_answers import HITS_OF_UNITS

        audits.watch()
        kernel, known = load(*args, **kwargs), [job for job, *_ in HITS_OF_UNITS]
        calls = itertools.count()

        def count(job: Any, units: range, *rest: Any) -> Any:
            found = kernel.count(job, units, *rest)
            if job in known:
                return found
            call = next(calls)
            for index, number in enumerate(units[: len(found)]):
                is_last = index == len(units) - 1
                if wrong(Unit(number, is_last, call, audits.going_on.is_set(), rank)):
                    act()
                    found[index] += hits
            return found

        return replace(kernel, count=count)

    return wrapped


class _Audits:
    """Knows whether this rank counts units of other ranks."""

    def __init__(self) -> None:
        self.going_on = threading.Event()

    def watch(self) -> None:
        from mpi_pi.parallel.auditor import Auditor

        audit = Auditor.audit

        @functools.wraps(audit)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.going_on.set()
            try:
                return audit(*args, **kwargs)
            finally:
                self.going_on.clear()

        Auditor.audit = watched  # type: ignore[method-assign]
