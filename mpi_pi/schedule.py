"""Rounds, and who gets which units of a round.

Integers throughout, since units and points may be more than a float can tell apart.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_pi.job import Job

FIRST_POINTS = 1 << 22
"""Points for each thread in the first round: a millisecond of the compiled kernel, to learn rates from."""

ROUND_NANOSECONDS = 1_000_000_000
"""How long a round shall last."""

GROWTH = 8
"""A round may last this many times as long as the one before: early rates come from short counts."""

WAIT_FACTOR = 100
"""A round lasts at least this many times the wait that even the slowest rank had. That is about half of what
the end of a round costs: where to rank 0 and back takes 50 ms, that is two per cent of rounds of 2.5 s."""

MOST_POINTS = 1 << 36
"""Points for each rank in a round at most, so that sums of squares stay within 64 bits."""

MOST_UNITS = 1 << 16
"""Units counted by one call of a kernel at most: their hits are half a megabyte."""

MEMORY = 4
"""Of what is known of a rank's rate, one part in four survives a round."""

TELLING_NANOSECONDS = 200_000
"""A count shorter than this says nothing of a rank's rate."""

LEAST_SHARE = 16
"""No rank gets less than a sixteenth of an even share while there is enough to do: a rank that was held up
once has to have a chance to show that it is back."""


def deal(job: Job, units: range, weights: Sequence[int] | NDArray[np.int64]) -> list[range]:
    """`units` cut into contiguous parts, one for each rank in proportion to its weight, to the nearest unit.

    `weights` holds an integer >= 1 for each rank.
    """
    first, points = job.points_before(units.start), job.points_in(units)
    before = list(itertools.accumulate(map(int, weights), initial=0))
    cuts = [job.nearest_unit(first + points * weight // before[-1]) for weight in before]
    return [range(start, stop) for start, stop in itertools.pairwise(cuts)]


def first_chunk(job: Job, units: range, points: int, least_units: int = 1) -> range:
    """The first piece of `units`, which is not empty, of about so many points, and so many units at least."""
    stop = max(job.nearest_unit(job.points_before(units.start) + points), units.start + least_units)
    return range(units.start, min(stop, units.start + MOST_UNITS, units.stop))


class Schedule:
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
        rates = np.zeros(len(known), np.int64)
        # In microseconds, since points * 10^9 would leave 64 bits.
        microseconds = np.maximum(self._nanoseconds[known] // 1000, 1)
        rates[known] = self._points[known] * 1_000_000 // microseconds
        average = max(int(rates.sum()) // int(known.sum()), LEAST_SHARE)
        rates[~known] = average
        return np.maximum(rates, average // LEAST_SHARE)

    def next_round(self) -> tuple[range, NDArray[np.int64]]:
        """The units of the next round, empty when all are done, and the weights to deal them by."""
        rates, left = self.rates(), self._job.points_in(self._units)
        if not self._nanoseconds.any():
            points = self._first_points
        else:
            points = int(rates.sum()) * self._target // 1_000_000_000
            # The largest share is bounded by what a message can carry.
            points = min(points, MOST_POINTS * int(rates.sum()) // int(rates.max()))
            if left < points * 3 // 2:
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
        self._points[telling] = self._points[telling] // MEMORY + points[telling]
        self._nanoseconds[telling] = self._nanoseconds[telling] // MEMORY + count_nanoseconds[telling]
        if not telling.any():
            self._first_points *= GROWTH
        lasted = max(int(count_nanoseconds.max()), 1)
        overhead = int(wait_nanoseconds.min())
        longest = max(ROUND_NANOSECONDS, WAIT_FACTOR * overhead)
        self._target = min(longest, GROWTH * lasted)
