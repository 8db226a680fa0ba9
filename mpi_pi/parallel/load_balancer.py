"""Number of units of a round, and the ranks' shares, in integers: a float cannot tell large numbers apart."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.job import Job


@dataclass(frozen=True)
class Tuning:
    """Parameters of the length of rounds and of the ranks' shares."""

    first_points: int = 1 << 22
    """Points for each thread in the first round: a millisecond of the compiled kernel, which shows rates."""
    round_nanoseconds: int = 1_000_000_000
    """Target duration of a round."""
    growth: int = 8
    """Maximum ratio of the durations of successive rounds: early rates come from short counts."""
    wait_factor: int = 100
    """Minimum ratio of the duration of a round to the shortest wait of a rank. The end of a round costs about
    twice that wait, so 2 % of the round: of 2.5 s where a message to rank 0 and back takes 50 ms."""
    max_points: int = 1 << 36
    """Maximum of points for each rank in a round. The last round may exceed it by half, and any round by a
    rounding to units: less than 2^37, so that sums of squares, below points * BLOCK, stay below 2^63."""
    max_units: int | None = None
    """Maximum of units in a round."""
    audit: float = 0.0
    """Share of the units of each round, 0 to 1, that a second rank counts, too, to find wrong ranks."""
    active: Callable[[int], Sequence[bool]] | None = None
    """Returns the ranks that count in the round of a number, by place, while the others are idle."""
    memory: int = 4
    """Divisor of a rank's earlier points and time in each round; so recent rounds weigh more."""
    min_nanoseconds: int = 200_000
    """Shortest count that shows a rank's rate."""
    min_share: int = 16
    """Divisor of an even share that gives the smallest share of a rank while there is enough to do: after a
    delay a rank must have a chance to show that it is fast again."""


DEFAULT = Tuning()


class LoadBalancer:
    """Choice of the next round from the rates that ranks have shown.

    `units` are the ranges to be counted, one after the other, `threads` the number of threads of each rank.
    """

    def __init__(
        self,
        job: Job,
        units: Sequence[range],
        threads: Sequence[int] | NDArray[np.int64],
        tuning: Tuning = DEFAULT,
    ) -> None:
        self._job, self._tuning = job, tuning
        self._units, self._later = (units[0], deque(units[1:])) if units else (range(0), deque())
        self._threads = np.array(threads, np.int64)
        self._first_points = tuning.first_points * int(self._threads.sum())
        self._points, self._nanoseconds = np.zeros((2, len(self._threads)), np.int64)
        self._target_nanoseconds = 0

    def rates(self) -> NDArray[np.int64]:
        """Return the recent rate of each rank in points per second, int64 (ranks,), at least 1.

        A rank of unknown rate gets the average, and a slow one at least 1 / `min_share` of it. While no rate
        is known, the rates are the numbers of threads.
        """
        known = self._nanoseconds > 0
        if not known.any():
            return self._threads
        # In microseconds, since points * 10^9 would exceed 64 bits.
        rates = self._points * 1_000_000 // np.maximum(self._nanoseconds // 1000, 1)
        min_share = self._tuning.min_share
        average = max(int(rates.sum()) // int(known.sum()), min_share)
        rates[~known] = average
        return np.maximum(rates, average // min_share)

    def next_round(self, active: NDArray[np.bool_] | None = None) -> tuple[range, NDArray[np.int64]]:
        """Return the units of the next round, empty at the end, and the weights to partition them by.

        `active`, shape (ranks,), has the ranks that are to count, of which there is at least one; the others
        have the weight 0.
        """
        while not self._units and self._later:
            self._units = self._later.popleft()
        rates, remaining = self.rates(), self._job.points_in(self._units)
        if active is not None:
            rates = np.where(active, rates, 0)
        all_rates = int(rates.sum())
        rates_are_known = bool(self._nanoseconds.any())
        points = all_rates * self._target_nanoseconds // 10**9 if rates_are_known else self._first_points
        # The largest share is bounded by what a message can carry.
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
        """Update the rates after a round; all arrays are int64 (ranks,).

        `points` is what each rank counted, `count_nanoseconds` how long, and `wait_nanoseconds` how long it
        waited in the round before.
        """
        tuning = self._tuning
        telling = (points > 0) & (count_nanoseconds >= tuning.min_nanoseconds)
        if telling.any():
            self._points[telling] = self._points[telling] // tuning.memory + points[telling]
            known = self._nanoseconds[telling] // tuning.memory
            self._nanoseconds[telling] = known + count_nanoseconds[telling]
        else:
            self._first_points = min(tuning.growth * self._first_points, tuning.max_points * len(points))
        longest = max(tuning.round_nanoseconds, tuning.wait_factor * int(wait_nanoseconds.min()))
        self._target_nanoseconds = min(longest, tuning.growth * max(int(count_nanoseconds.max()), 1))
