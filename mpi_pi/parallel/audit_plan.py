"""Plan of the audit of a round: which units are counted a second time, and by which rank. It needs no MPI.

Every rank makes the same plan by itself. The units of each rank are cut into cells of about the same number
of units, and in each cell a run of consecutive units is drawn, which has the share of the cell that is to be
audited. Runs rather than single units keep the cost of a call of the kernel small beside that of its units.

The cells of all ranks, in the order of the hosts, form a circle. The auditor of a cell is the rank of the
cell that lies a drawn number of cells further on: far enough to be of another host, and no rank audits more
cells than it has itself, so that audits are divided by the ranks' rates as the units are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.int64]

MAX_CELLS = 4
"""Cells of a rank of average rate."""

MAX_AUDITED_UNITS = 1 << 18
"""Units of an average rank that are audited in a round: their hits take 2 MB."""

DRAW = (0x61756469, 0x74)
"""First words of the spawn keys of draws, which have more words than the keys of units."""


class AuditPlan(NamedTuple):
    """Runs of units that are counted a second time in a round; arrays have shape (runs,)."""

    start: Row
    """First unit, counted from the first one of the round."""
    stop: Row
    counter: Row
    """Rank that counts the units as part of its own."""
    auditor: Row
    """Rank that counts them again."""

    def of_counter(self, rank: int) -> Row:
        """Return the runs that a rank counts, as indices, in the order of their units."""
        return np.flatnonzero(self.counter == rank)

    def of_auditor(self, rank: int) -> Row:
        """Return the runs that a rank counts again, as indices, in the order of their units."""
        return np.flatnonzero(self.auditor == rank)

    def compared(self, ranks: int) -> Row:
        """Return the number of units in which each rank is compared with another one, int64 (ranks,)."""
        units = self.stop - self.start
        sums = [np.bincount(whose, units, ranks) for whose in (self.counter, self.auditor)]
        return np.asarray(sum(sums), np.int64)


NOTHING = AuditPlan(*np.zeros((4, 0), np.int64))


class Ranks(NamedTuple):
    """The ranks of a run; arrays have shape (ranks,)."""

    hosts: Row
    """Number of the host of each rank."""
    trusted: NDArray[np.bool_]
    """Ranks that may audit: those that are not excluded."""


def plan(places: Row, ranks: Ranks, share: float, seed: int, draw: int) -> AuditPlan:
    """Return the plan for a round.

    `places`, int64 (ranks + 1,), are the offsets of the ranks' units in the round, as of
    `partition.offsets`; only trusted ranks have units. `share` is above 0 and up to 1. `seed` and `draw`, the
    number of the round, determine what is drawn.

    On average over many rounds each unit is audited with the probability `share`. If a round has less than
    one unit of each rank to be audited, some rounds have one of each rank, and others none, so that no rank
    waits for the audits of others. Nothing is audited if fewer than two ranks are trusted.
    """
    counts = np.diff(places)
    active = np.flatnonzero(counts)
    if not active.size or np.count_nonzero(ranks.trusted) < 2:
        return NOTHING
    units = int(places[-1] - places[0])
    whether, round_up, shift = drawn(seed, draw, 0, 3)
    expected = share * units / active.size
    cells_of_average = min(max(int(expected), 1), MAX_CELLS)
    if expected < 1:
        if whether >= expected:
            return NOTHING
        share = active.size / units
    cells = np.zeros(counts.size, np.int64)
    wanted = np.rint(counts[active] * (cells_of_average * active.size / units)).astype(np.int64)
    cells[active] = np.minimum(np.maximum(wanted, 1), counts[active])
    owner = np.repeat(np.arange(counts.size), cells)
    index = np.arange(owner.size) - np.repeat(np.cumsum(cells) - cells, cells)
    piece = counts[owner]
    low = piece * index // cells[owner]
    size = piece * (index + 1) // cells[owner] - low
    length = np.minimum(np.floor(size * share + round_up).astype(np.int64), size)
    within = np.floor(drawn(seed, draw, 1, owner.size) * (size - length + 1)).astype(np.int64)
    turn = np.floor(drawn(seed, draw, 2, counts.size) * counts).astype(np.int64)
    start = (low + within + turn[owner]) % piece
    auditor = _auditors(owner, ranks, float(shift))
    return _unwound(places, AuditPlan(start, start + length, owner, auditor))


def _unwound(places: Row, runs: AuditPlan) -> AuditPlan:
    """Return runs in the order of units, given those in the pieces of their counters.

    A piece is a circle: what a run has beyond the end of the piece is at its beginning. So are all units of a
    piece audited with the same probability, the first and the last one, too.
    """
    first, units = places[runs.counter], np.diff(places)[runs.counter]
    ends = AuditPlan(first + runs.start, first + np.minimum(runs.stop, units), runs.counter, runs.auditor)
    starts = ends._replace(start=first, stop=first + runs.stop - units)
    both = [np.concatenate(columns) for columns in zip(ends, starts, strict=True)]
    those = np.flatnonzero(both[0] < both[1])
    order = those[np.argsort(both[0][those])]
    return AuditPlan(*(column[order] for column in both))


def _auditors(owner: Row, ranks: Ranks, shift: float) -> Row:
    """Return the rank that audits each cell, given that which has it; `shift` is drawn from 0 to 1.

    It is of another host than the owner if there are several, otherwise another rank.
    """
    group = ranks.hosts[owner]
    if (group == group[0]).all():
        others = np.flatnonzero(ranks.trusted & (ranks.hosts != group[0]))
        if not others.size and (owner == owner[0]).all():
            others = np.flatnonzero(ranks.trusted & (np.arange(ranks.trusted.size) != owner[0]))
        if others.size:  # they have no units in this round
            return others[(np.arange(owner.size) + int(shift * others.size)) % others.size]
        group = owner
    circle = np.argsort(group, kind="stable")
    _, sizes = np.unique(group, return_counts=True)
    cells, largest = owner.size, int(sizes.max())
    auditor = np.empty_like(owner)
    if 2 * largest <= cells:
        step = largest + int(shift * (cells - 2 * largest + 1))
        auditor[circle] = owner[np.roll(circle, -step)]
        return auditor
    # One host, or rank, has more than half of the cells: the others audit all of these, and it audits theirs.
    is_large = group == np.unique(group)[sizes.argmax()]
    sides = np.flatnonzero(is_large), np.flatnonzero(~is_large)
    for audited, auditing in (sides, sides[::-1]):
        turn = int(shift * auditing.size)
        index = np.arange(audited.size) * auditing.size // audited.size
        auditor[audited] = owner[auditing[(index + turn) % auditing.size]]
    return auditor


def drawn(seed: int, draw: int, kind: int, number: int) -> NDArray[np.float64]:
    """Return numbers from 0 up to but not including 1, float64 (number,), for the round `draw` of a job.

    They are those of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), which begins with a word of NumPy's
    SeedSequence; that alone would take a tenth of a second for the cells of 10,000 ranks. The same seed, draw
    and kind give the same numbers, with any version of NumPy.
    """
    first = np.random.SeedSequence(seed, spawn_key=(*DRAW, draw, kind)).generate_state(1, np.uint64)
    words = first + np.arange(1, number + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return np.asarray((words >> np.uint64(11)) * 2.0**-53, np.float64)
