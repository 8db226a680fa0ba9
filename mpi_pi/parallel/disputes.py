"""Units in which two ranks have counted different hits, and which rank is wrong. It needs no MPI."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MAX_REFERENCE_POINTS = 1 << 20
"""Points of a unit that a third rank counts with the NumPy kernel: that takes a PC one to three seconds, and
owes nothing to the compiled code."""


class Dispute(NamedTuple):
    """A difference between two ranks that have counted units of a round."""

    unit: int
    """The first unit in which they differ."""
    counter: int
    """Rank that counted the unit as one of its own."""
    counted: int
    """Its hits."""
    auditor: int
    """Rank that counted the unit again."""
    recounted: int
    """Its hits."""
    units: int
    """Units in which the two ranks differ."""


def third_ranks(
    disputes: Sequence[Dispute], hosts: Sequence[int], trusted: Sequence[int]
) -> list[int | None]:
    """Return the rank that is to count the unit of each dispute; None if there is none.

    `hosts` has a number of the host of each rank. `trusted` are the ranks that are not known to be wrong. The
    third rank is one of another host than both others if possible, because a host may be wrong as a whole;
    of those, one that is in no dispute; of those, one that has little to do.
    """
    disputed = Counter(rank for dispute in disputes for rank in (dispute.counter, dispute.auditor))
    tasks: Counter[int] = Counter()
    thirds: list[int | None] = []
    for dispute in disputes:
        parties = (dispute.counter, dispute.auditor)
        those_hosts = {hosts[rank] for rank in parties}

        def badness(rank: int, those_hosts: set[int] = those_hosts) -> tuple[bool, int, int]:
            return hosts[rank] in those_hosts, disputed[rank], tasks[rank]

        third = min((rank for rank in trusted if rank not in parties), key=badness, default=None)
        if third is not None:
            tasks[third] += 1
        thirds.append(third)
    return thirds


class Verdict(NamedTuple):
    """A rank that is wrong: two others agree against it, or it gets known answers wrong."""

    wrong: int
    unit: int | None = None
    """The first unit of the dispute; None for a known answer, as `counted` and `right` are then 0."""
    counted: int = 0
    """Its hits of this unit."""
    right: int = 0
    units: int = 0
    """Units that it counted differently than others, in all disputes that it lost."""


def judge(
    disputes: Sequence[Dispute],
    thirds: Sequence[int | None],
    answers: Sequence[int | None],
    known: Iterable[int] = (),
) -> tuple[list[Verdict], list[int]]:
    """Return a verdict on each rank that is wrong, and the indices of disputes that nobody can settle.

    `answers` has the hits that the third rank has counted for each dispute; None if there was no third rank.
    `known` are ranks that get known answers wrong. A dispute needs no verdict of its own if one of the three
    ranks is wrong for another reason.
    """
    verdicts = {rank: Verdict(rank) for rank in known}
    for each, answer in zip(disputes, answers, strict=True):
        if answer in (each.counted, each.recounted):
            lost = (each.counter, each.counted), (each.auditor, each.recounted)
            wrong, counted = lost[answer == each.counted]
            if wrong not in verdicts or verdicts[wrong].unit is None:
                verdicts[wrong] = Verdict(wrong, each.unit, counted, answer)
            verdicts[wrong] = verdicts[wrong]._replace(units=verdicts[wrong].units + each.units)
    unsettled = [
        index
        for index, (dispute, third) in enumerate(zip(disputes, thirds, strict=True))
        if not verdicts.keys() & {dispute.counter, dispute.auditor, third}
    ]
    return list(verdicts.values()), unsettled
