"""How many units the next round has, and in which proportion the ranks share them.

Integers throughout, since units and points may be more than a float can tell apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.job import Job


@dataclass(frozen=True)
class Tuning:
    """How the length of rounds is chosen."""

    first_points: int = 1 << 22
    """Points for each thread in the first round: a millisecond of the compiled kernel, to learn rates
    from."""
    round_nanoseconds: int = 1_000_000_000
    """How long a round shall last."""
    growth: int = 8
    """A round may last this many times as long as the one before: early rates come from short counts."""
    wait_factor: int = 100
    """A round lasts at least this many times the wait that even the slowest rank had. That is about half of
    what the end of a round costs: where to rank 0 and back takes 50 ms, that is two per cent of rounds of
    2.5 s."""
    max_points: int = 1 << 36
    """Points for each rank in a round at most, but for the last round, which may have half as many again, and
    for the rounding to whole units: less than 2^37, so that sums of squares, below points * BLOCK, are below
    2^63."""
    max_units: int | None = None
    """Units in a round at most."""
    memory: int = 4
    """Of what is known of a rank's rate, one part in so many survives a round."""
    min_nanoseconds: int = 200_000
    """A count shorter than this says nothing of a rank's rate."""
    min_share: int = 16
    """No rank gets less than this part of an even share while there is enough to do: a rank that was held up
    once has to have a chance to show that it is back."""


DEFAULT = Tuning()


class LoadBalancer:
    """Chooses the next round from how the last ones went.

    `units` is the range to be counted, `threads` the number of threads of each rank.
    """

    def __init__(
        self, job: Job, units: range, threads: Sequence[int] | NDArray[np.int64], tuning: Tuning = DEFAULT
    ) -> None:
        self._job, self._units, self._tuning = job, units, tuning
        self._threads = np.array(threads, np.int64)
        ranks = len(self._threads)
        self._first_points = tuning.first_points * int(self._threads.sum())
        self._points = np.zeros(ranks, np.int64)
        self._nanoseconds = np.zeros(ranks, np.int64)
        self._target_nanoseconds = 0

    def rates(self) -> NDArray[np.int64]:
        """Return the points per second that each rank has shown lately, int64 (ranks,), at least 1.

        A rank of which nothing is known yet is taken for an average one, and none for so slow that it would
        never be given anything again.
        """
        known = self._nanoseconds > 0
        if not known.any():
            return self._threads
        # In microseconds, since points * 10^9 would leave 64 bits.
        rates = self._points * 1_000_000 // np.maximum(self._nanoseconds // 1000, 1)
        min_share = self._tuning.min_share
        average = max(int(rates.sum()) // int(known.sum()), min_share)
        rates[~known] = average
        return np.maximum(rates, average // min_share)

    def next_round(self) -> tuple[range, NDArray[np.int64]]:
        """Return the units of the next round, empty at the end, and the weights to partition them by."""
        rates, remaining = self.rates(), self._job.points_in(self._units)
        all_rates = int(rates.sum())
        rates_are_known = bool(self._nanoseconds.any())
        points = all_rates * self._target_nanoseconds // 10**9 if rates_are_known else self._first_points
        # The largest piece is bounded by what a message can carry.
        points = min(points, self._tuning.max_points * all_rates // int(rates.max()))
        if rates_are_known and remaining < points * 3 // 2:
            points = remaining
        first = self._units.start
        stop = max(self._job.nearest_unit(self._job.points_before(first) + points), first + len(rates))
        stop = min(stop, self._units.stop)
        if self._tuning.max_units is not None:
            stop = min(stop, first + self._tuning.max_units)
        self._units = range(stop, self._units.stop)
        return range(first, stop), rates

    def update(
        self,
        points: NDArray[np.int64],
        count_nanoseconds: NDArray[np.int64],
        wait_nanoseconds: NDArray[np.int64],
    ) -> None:
        """Learn from a round; all arrays are int64 (ranks,).

        `points` and `count_nanoseconds` tell what each rank counted and how long, `wait_nanoseconds` how
        long it waited in the round before.
        """
        tuning = self._tuning
        telling = (points > 0) & (count_nanoseconds >= tuning.min_nanoseconds)
        if telling.any():
            self._points = np.where(telling, self._points // tuning.memory + points, self._points)
            nanoseconds = self._nanoseconds // tuning.memory + count_nanoseconds
            self._nanoseconds = np.where(telling, nanoseconds, self._nanoseconds)
        else:
            self._first_points = min(tuning.growth * self._first_points, tuning.max_points * len(points))
        longest = max(tuning.round_nanoseconds, tuning.wait_factor * int(wait_nanoseconds.min()))
        self._target_nanoseconds = min(longest, tuning.growth * max(int(count_nanoseconds.max()), 1))
