"""Rounds, and who gets which units of a round.

Integers throughout, since units and points may be more than a float can tell apart.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.job import BLOCK, Job

FIRST_POINTS = 1 << 22
"""Points for each thread in the first round: a millisecond of the compiled kernel, to learn rates from."""

ROUND_NANOSECONDS = 1_000_000_000
"""How long a round shall last."""

GROWTH = 8
"""A round may last this many times as long as the one before: early rates come from short counts."""

WAIT_FACTOR = 100
"""A round lasts at least this many times the wait that even the slowest rank had. That is about half of what
the end of a round costs: where to rank 0 and back takes 50 ms, that is two per cent of rounds of 2.5 s."""

MAX_POINTS = 1 << 36
"""Points for each rank in a round at most, but for the last round, which may have half as many again, and for
the rounding to whole units: less than 2^37, so that sums of squares, below points * BLOCK, are below 2^63."""

MAX_UNITS = 1 << 16
"""Units counted by one call of a kernel at most: their hits are half a megabyte."""

MEMORY = 4
"""Of what is known of a rank's rate, one part in four survives a round."""

TELLING_NANOSECONDS = 200_000
"""A count shorter than this says nothing of a rank's rate."""

MIN_SHARE = 16
"""No rank gets less than a sixteenth of an even share while there is enough to do: a rank that was held up
once has to have a chance to show that it is back."""


def partition(job: Job, units: range, weights: Sequence[int] | NDArray[np.int64]) -> list[range]:
    """`units` cut into contiguous parts, one for each rank in proportion to its weight, to the nearest unit.

    `weights` holds an integer >= 1 for each rank.
    """
    places = cuts(job, units, weights).tolist()
    return [units[start:stop] for start, stop in itertools.pairwise(places)]


def cuts(job: Job, units: range, weights: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Where `partition` cuts: how many units come before each rank's part, and all; shape (ranks + 1,),
    int64.

    Exact while neither the points of `units` nor all weights together are more than 2^57.
    """
    before = np.zeros(len(weights) + 1, np.int64)
    np.cumsum(weights, out=before[1:])
    points, total = job.points_in(units), int(before[-1])
    # The quotient points * before // total, where the product takes more than 64 bits: what floats are off by
    # is small enough for the low 64 bits to tell.
    position = (points * (before / total)).astype(np.int64)
    position += (points * before - position * total) // total
    # From a position in the points to a unit, as in Job.nearest_unit, counted from the first unit's trial on.
    block = units.start % job.blocks
    trial, rest = np.divmod(position + block * BLOCK, job.points)
    place, rest = np.divmod(rest, BLOCK)
    unit_points = np.where(place == job.blocks - 1, job.last_block, BLOCK)
    nearest: NDArray[np.int64] = trial * job.blocks + place - block + (2 * rest >= unit_points)
    return nearest


def first_chunk(job: Job, units: range, points: int, least_units: int = 1) -> range:
    """The first piece of `units`, which is not empty, of about so many points, and so many units at least."""
    stop = max(job.nearest_unit(job.points_before(units.start) + points), units.start + least_units)
    return range(units.start, min(stop, units.start + MAX_UNITS, units.stop))


class LoadBalancer:
    """What the next round is, learned from how the last ones went.

    `units` is the range to be worked off, `threads` the number of threads of each rank that does it.
    """

    def __init__(
        self,
        job: Job,
        units: range,
        threads: Sequence[int] | NDArray[np.int64],
        most_units: int | None = None,
    ) -> None:
        self._job, self._units = job, units
        self._threads = np.array(threads, np.int64)
        ranks = len(self._threads)
        self._first_points = FIRST_POINTS * int(self._threads.sum())
        self._most_units = most_units
        self._points = np.zeros(ranks, np.int64)
        self._nanoseconds = np.zeros(ranks, np.int64)
        self._target = 0

    def rates(self) -> NDArray[np.int64]:
        """Points per second that each rank has shown lately, int64 (ranks,), at least 1.

        A rank of which nothing is known yet is taken for an average one, and none for so slow that it would
        never be given anything again.
        """
        known = self._nanoseconds > 0
        if not known.any():
            return self._threads
        # In microseconds, since points * 10^9 would leave 64 bits.
        rates = self._points * 1_000_000 // np.maximum(self._nanoseconds // 1000, 1)
        average = max(int(rates.sum()) // int(known.sum()), MIN_SHARE)
        rates[~known] = average
        return np.maximum(rates, average // MIN_SHARE)

    def next_round(self) -> tuple[range, NDArray[np.int64]]:
        """The units of the next round, empty when all are done, and the weights to deal them by."""
        rates, left = self.rates(), self._job.points_in(self._units)
        all_rates = int(rates.sum())
        rates_are_known = bool(self._nanoseconds.any())
        points = all_rates * self._target // 1_000_000_000 if rates_are_known else self._first_points
        # The largest share is bounded by what a message can carry.
        points = min(points, MAX_POINTS * all_rates // int(rates.max()))
        if rates_are_known and left < points * 3 // 2:
            points = left
        first = self._units.start
        stop = max(self._job.nearest_unit(self._job.points_before(first) + points), first + len(rates))
        stop = min(stop, self._units.stop)
        if self._most_units is not None:
            stop = min(stop, first + self._most_units)
        self._units = range(stop, self._units.stop)
        return range(first, stop), rates

    def learn(
        self,
        points: NDArray[np.int64],
        count_nanoseconds: NDArray[np.int64],
        wait_nanoseconds: NDArray[np.int64],
    ) -> None:
        """Take in what each rank counted in a round, how long, and how long it waited in the round before."""
        telling = (points > 0) & (count_nanoseconds >= TELLING_NANOSECONDS)
        if telling.any():
            self._points = np.where(telling, self._points // MEMORY + points, self._points)
            nanoseconds = self._nanoseconds // MEMORY + count_nanoseconds
            self._nanoseconds = np.where(telling, nanoseconds, self._nanoseconds)
        else:
            self._first_points = min(GROWTH * self._first_points, MAX_POINTS * len(points))
        lasted = max(int(count_nanoseconds.max()), 1)
        overhead = int(wait_nanoseconds.min())
        longest = max(ROUND_NANOSECONDS, WAIT_FACTOR * overhead)
        self._target = min(longest, GROWTH * lasted)
