"""Exit statuses of the command, and the status of each foreseen error."""

import os

from mpi_pi.errors import BusyError, MpiPiError, UserError

VERIFIED = 0
FAILED = 1
BAD_USAGE = 2
NOT_VERIFIED = 3
RUN_AGAIN = os.EX_TEMPFAIL
"""75: stopped before the end, and there is a checkpoint to go on from; or another run is working on it."""
TIME_LIMIT = 124
"""Stopped by --time-limit without a checkpoint; as timeout(1) has it."""
SIGNALLED = 128
"""Plus the signal's number: stopped by it without a checkpoint."""


def status_of(error: MpiPiError) -> int:
    """Return the exit status of the command after a foreseen error."""
    if isinstance(error, BusyError):
        return RUN_AGAIN
    return BAD_USAGE if isinstance(error, UserError) else FAILED
