"""The hits of every trial as `trial,points,hits` lines, in order, written and read."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.job import Job
from mpi_pi.model.result import Result
from mpi_pi.storage.json_document import DocumentError

HEADER = "trial,points,hits\n"


class TrialLog:
    """Writer of the log of a job, in constant memory: units are added in order."""

    def __init__(self, job: Job, write: Callable[[str], object]) -> None:
        self._job, self._write = job, write
        self._hits = 0
        """Hits in the blocks so far of a trial that is not complete."""
        write(HEADER)

    def add(self, units: range, hits: NDArray[np.int64]) -> None:
        """Add the hits, int64, of each of the next units. Raises what writing raises."""
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


@dataclass(frozen=True)
class Trials:
    """Content of a trial log."""

    points: int
    """Points of each trial."""
    hits: NDArray[np.int64]
    """Hits of each trial, in order."""

    def belong_to(self, result: Result) -> bool:
        """Return whether these are all trials of a result, with its points and hits."""
        own = (self.points, self.points * len(self.hits), sum(self.hits.tolist()))
        return own == (result.job.points, result.tally.points, result.tally.hits)


def of_content(content: bytes) -> Trials:
    """Return the trials in the content of a log, which starts with HEADER. Raises DocumentError."""
    lines = content.decode("ascii", errors="replace").splitlines()[1:]
    try:
        rows = np.array([[int(value) for value in line.split(",")] for line in lines], np.int64)
    except (ValueError, OverflowError) as error:
        raise DocumentError(f"damaged trial log: {error}") from error
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise DocumentError("a trial log without trials")
    trials, points, hits = rows.T
    if (trials != np.arange(len(trials))).any() or (points != points[0]).any():
        raise DocumentError("damaged trial log: trials are missing")
    if points[0] < 1 or (hits < 0).any() or (hits > points).any():
        raise DocumentError("damaged trial log: no such hits are possible")
    return Trials(int(points[0]), hits)
