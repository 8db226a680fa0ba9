"""The hits of every trial as `trial,points,hits` lines, in order, however many there are."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.job import Job

HEADER = "trial,points,hits\n"


class TrialLog:
    """Writes the log of a job as its units come in, in order; keeps one trial in mind."""

    def __init__(self, job: Job, write: Callable[[str], object]) -> None:
        self._job, self._write = job, write
        self._hits = 0
        """Hits of the blocks so far of a trial that is not complete."""
        write(HEADER)

    def add(self, units: range, hits: NDArray[np.int64]) -> None:
        """Take in the hits, int64, of the units that follow. Raises what writing raises."""
        if not units:
            return
        first, _ = self._job.trial_and_block(units.start)
        next_, blocks_of_next = self._job.trial_and_block(units.stop)
        # Where in `hits` each of the trials first … next_ starts.
        starts = np.maximum(
            np.arange(next_ - first + (blocks_of_next > 0)) * self._job.blocks
            - units.start % self._job.blocks,
            0,
        )
        sums = np.add.reduceat(hits, starts).tolist()
        sums[0] += self._hits
        self._hits = sums.pop() if blocks_of_next else 0
        lines = (f"{trial},{self._job.points},{hits}\n" for trial, hits in enumerate(sums, first))
        self._write("".join(lines))
