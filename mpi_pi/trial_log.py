"""The hits of every trial as `trial,points,hits` lines, in order, however many there are."""

from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from mpi_pi.job import Job


class TrialLog:
    """Writes the log of a job to a stream as its units come in, in order; keeps one trial in mind."""

    def __init__(self, job: Job, stream: TextIO) -> None:
        self._job, self._stream = job, stream
        self._hits = 0
        """Hits of the blocks so far of a trial that is not complete."""
        stream.write("trial,points,hits\n")

    def add(self, units: range, hits: NDArray[np.int64]) -> None:
        """Take in the hits, int64, of the units that follow. Raises OSError."""
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
        self._stream.writelines(
            f"{trial},{self._job.points},{hits}\n" for trial, hits in enumerate(sums, first)
        )
