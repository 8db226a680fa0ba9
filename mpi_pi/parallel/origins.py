"""Record of rank 0, in an audited run, of which rank has counted which units. It needs no MPI."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.job import Job
from mpi_pi.model.tally import Tally
from mpi_pi.parallel.account import SUMMED, totals_of
from mpi_pi.parallel.messages import TALLY_COLUMNS, WorkResult, unpack

Row = NDArray[np.int64]

MAX_OFFSETS = 1 << 21
"""Offsets of units that are kept: 16 MB, which 16 ranks fill in a day and a half, and 1000 ranks in half an
hour. Then of all units counted so far nobody knows any more which rank has counted them."""


class Origins:
    """Origins of the units counted so far that are not proven. `places` is the number of ranks."""

    def __init__(self, job: Job, places: int) -> None:
        self._job = job
        self._rounds: list[tuple[int, Row]] = []
        """First unit of each round, and the offsets in it of the pieces of places, int64 (places + 1,)."""
        self._tallies = np.zeros((places, TALLY_COLUMNS), object)
        """Packed tallies of the pieces of each place, in integers of any size."""
        self._totals = np.zeros((places, SUMMED), np.int64)
        """The first columns of `account.TOTALS` of the pieces of each place."""
        self._unknown: Sequence[range] = ()
        """Units that nobody knows any more which rank has counted."""
        self._unknown_tally = Tally()
        self._unknown_totals = np.zeros((places, SUMMED), np.int64)
        """What each place has counted of them in this run."""

    @property
    def full(self) -> bool:
        """True if it is time to forget."""
        return len(self._rounds) * (len(self._tallies) + 1) > MAX_OFFSETS

    def record(self, first: int, members: Row, results: Row) -> None:
        """Record a round from unit `first` on: the work results of members, int64 (members, columns).

        `members` are places, ascending; units of a member follow those of the one before.
        """
        of_place = np.zeros(len(self._tallies), np.int64)
        of_place[members] = results[:, WorkResult.UNITS]
        self._rounds.append((first, np.concatenate([[0], np.cumsum(of_place)])))
        self._tallies[members] += results[:, WorkResult.TALLY :].astype(object)
        self._totals[members] += totals_of(results)[:, :SUMMED]

    def forget(self, unproven: Sequence[range], unproven_tally: Tally, totals: Row | None = None) -> None:
        """Forget which rank has counted what; `unproven` are all units that are counted and not proven.

        `totals`, int64 (places, SUMMED), are what places have counted of them; by default what was recorded.
        """
        self._unknown_totals = self._unknown_totals + self._totals if totals is None else totals
        self._unknown, self._unknown_tally = unproven, unproven_tally
        self._rounds.clear()
        self._tallies[:], self._totals[:] = 0, 0

    def take_out(self, places: Sequence[int]) -> tuple[list[range], Tally, Row]:
        """Return the units of these places and those of unknown origin, their tally and their totals.

        The totals are int64 (places, SUMMED). The places must count nothing from now on.
        """
        ranges, total, totals = list(self._unknown), self._unknown_tally, self._unknown_totals
        for place in places:
            total += unpack(self._job, self._tallies[place])
            ranges += [
                range(first + int(at[place]), first + int(at[place + 1])) for first, at in self._rounds
            ]
        totals = totals.copy()
        totals[places] += self._totals[places]
        self._tallies[places], self._totals[places] = 0, 0
        self._unknown, self._unknown_tally = (), Tally()
        self._unknown_totals = np.zeros_like(totals)
        return [one for one in ranges if one], total, totals
