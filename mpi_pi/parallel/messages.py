"""Columns of the messages between rank 0 and all ranks: work results and assignments, rows of integers."""

from enum import IntEnum

from mpi_pi.model import tally


class WorkResult(IntEnum):
    """Columns of the work result of a rank for a round."""

    FAILED = 0
    """1 after an error that ends the run."""
    STOPPED = 1
    """1 if the rank knows of a stop request."""
    WRONG = 2
    """1 if its kernel no longer counts the known answers, or, in a run that survives the loss of ranks, after
    an error of this rank alone."""
    POINTS = 3
    COUNT_NS = 4
    WAIT_NS = 5
    """In the round before this one."""
    UNITS = 6
    USER_NS = 7
    """Total CPU time of the process, as SYSTEM_NS."""
    SYSTEM_NS = 8
    PEAK_BYTES = 9
    """Peak memory of the process."""
    TALLY = 10
    """The first of `tally.COLUMNS`, see `tally.pack`."""


WORK_RESULT_COLUMNS = WorkResult.TALLY + tally.COLUMNS


FAILURE, EXPULSION = 1, 2


class Assignment(IntEnum):
    """Columns of the assignment of a rank for the next round."""

    FAILED = 0
    """`FAILURE` if a rank has failed in the round before, which ends the run; `EXPULSION` if ranks are to
    leave, and the others are to count the round anew."""
    STOPPED = 1
    """1 if a rank knew of a stop request in the round before."""
    DONE = 2
    """Units that were counted in the round before."""
    UNITS = 3
    """Units in the next round; 0 if there is none."""
    START = 4
    """First unit of the rank, counted from the first one of the round; STOP is the one after its last."""
    STOP = 5
