"""Columns of the messages between rank 0 and all ranks: work results and assignments, rows of integers."""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model import goodness
from mpi_pi.model.job import Job
from mpi_pi.model.tally import Sums, Tally

TALLY_COLUMNS = 3 + goodness.BINS + 3
"""Length of a packed tally: sums and bins over units of the first block's size, then sums over last
blocks."""


class WorkResult(IntEnum):
    """Columns of the work result of a rank for a round."""

    FAILED = 0
    """1 after an error that ends the run."""
    STOPPED = 1
    """1 if the rank knows of a stop request."""
    WRONG = 2
    """`WRONG_ANSWERS`, or `FAILS_ALONE`, or 0."""
    POINTS = 3
    COUNT_NS = 4
    COUNT_CPU_NS = 5
    """CPU time of all threads in COUNT_NS."""
    WAIT_NS = 6
    """In the round before this one."""
    UNITS = 7
    AUDIT_NS = 8
    """Total time of audits on this rank."""
    USER_NS = 9
    """Total CPU time of the process, as SYSTEM_NS."""
    SYSTEM_NS = 10
    PEAK_BYTES = 11
    """Peak memory of the process."""
    RECOUNTED = 12
    """Units of other ranks that this rank has counted again, and compared."""
    DIFFERENT = 13
    """Units among them in which the hits differ."""
    TALLY = 14
    """The first of `TALLY_COLUMNS`, see `pack`."""


WORK_RESULT_COLUMNS = WorkResult.TALLY + TALLY_COLUMNS


WRONG_ANSWERS, FAILS_ALONE = 1, 2
"""The kernel of a rank no longer counts the known answers; or, in a run that survives the loss of ranks, the
rank leaves after an error of its own."""

FAILURE, EXPULSION, DISPUTE = 1, 2, 3


class Assignment(IntEnum):
    """Columns of the assignment of a rank for the next round."""

    FAILED = 0
    """`FAILURE` if a rank has failed in the round before, which ends the run; `EXPULSION` if ranks are to
    leave, and the others are to count the round anew; `DISPUTE` if ranks differ about the hits of units, and
    are to settle that before the round is counted anew."""
    STOPPED = 1
    """1 if a rank knew of a stop request in the round before."""
    DONE = 2
    """Units that were counted in the round before."""
    FIRST_HIGH = 3
    """First unit of the next round, which may exceed 64 bits, divided by `HALF`; FIRST_LOW is the rest."""
    FIRST_LOW = 4
    UNITS = 5
    """Units in the next round; 0 if there is none."""
    START = 6
    """First unit of the rank, counted from the first one of the round; STOP is the one after its last."""
    STOP = 7


HALF = 1 << 62


def units_of_round(assignment: NDArray[np.int64]) -> range:
    """Return the units of all ranks in the next round; empty if there is none."""
    first = int(assignment[Assignment.FIRST_HIGH]) * HALF + int(assignment[Assignment.FIRST_LOW])
    return range(first, first + int(assignment[Assignment.UNITS]))


def pack(job: Job, tally: Tally) -> list[int]:
    """Return a tally of units of `job` as a row of `TALLY_COLUMNS` integers; `unpack` is the inverse.

    Numbers that are not possible are cut to 2^62.
    """
    sizes = (job.unit_points(0), job.last_block)
    main = tally.by_size.get(sizes[0], Sums())
    last = tally.by_size.get(sizes[1], Sums()) if sizes[0] != sizes[1] else Sums()
    row = [*main[:3], *(main.bins or (0,) * goodness.BINS), *last[:3]]
    # What a damaged kernel has counted may be too much for a message; it is found wrong all the same.
    return [min(max(number, -HALF), HALF) for number in row]


def packed_hits(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the hits of packed tallies: shape (rows, TALLY_COLUMNS) in, (rows,) out."""
    main, last = 1, TALLY_COLUMNS - 2
    return rows[:, main] + rows[:, last]


def unpack(job: Job, numbers: Iterable[int]) -> Tally:
    """Return the tally of a packed one, or of a sum of packed ones."""
    units, hits, squares, *bins, last_units, last_hits, last_squares = map(int, numbers)
    main = Sums(units, hits, squares, tuple(bins))
    last = Sums(last_units, last_hits, last_squares)
    pairs = ((job.unit_points(0), main), (job.last_block, last))
    return Tally({points: sums for points, sums in pairs if sums.units})
