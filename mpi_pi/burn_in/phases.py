"""The phases of a burn-in: which cores count at a time, for how long, and in rounds of which length."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

PULSE_SECONDS = 1.0
"""Time for which all cores count, and for which they then sleep, when they are switched on and off."""


class Phase(NamedTuple):
    """A load that shows faults which no other one shows."""

    name: str
    """Its name in JSON."""
    title: str
    share: float
    """Its share of the time of the burn-in."""
    alone: bool = False
    """True if one rank of each host counts at a time, and so at the highest clock of its core."""
    pulsed: bool = False
    """True if all ranks sleep after each round."""


STEADY = Phase("steady", "All cores", 0.5)
ALONE = Phase("alone", "One core at a time", 0.25, alone=True)
PULSED = Phase("pulsed", "On and off", 0.25, pulsed=True)

PHASES = (STEADY, ALONE, PULSED)
"""In this order: the steady load has warmed the host up when the others begin."""

BY_NAME = {phase.name: phase for phase in PHASES}


def round_nanoseconds(audit: float) -> int:
    """Return how long to count in a round of a second, in which a share of the units is counted twice."""
    return int(PULSE_SECONDS * 1e9 / (1 + audit))


def taking_turns(hosts: Sequence[int]) -> Callable[[int], Sequence[bool]]:
    """Return a function that tells, for the number of a round, which ranks count: one of each host.

    `hosts` has the number of each rank's host.
    """
    ranks: dict[int, list[int]] = {}
    for rank, host in enumerate(hosts):
        ranks.setdefault(host, []).append(rank)

    def active(number: int) -> list[bool]:
        chosen = {those[number % len(those)] for those in ranks.values()}
        return [rank in chosen for rank in range(len(hosts))]

    return active
