"""Exit statuses of the command, and the status of each foreseen error."""

import os

from mpi_pi.errors import BusyError, MpiPiError, UserError

VERIFIED = 0
FAILED = 1
BAD_USAGE = 2
NOT_VERIFIED = 3
RUN_AGAIN = os.EX_TEMPFAIL
"""75: stopped early with a checkpoint to continue from, or another run is using the checkpoint."""
TIME_LIMIT = 124
"""Stopped by --time-limit without a checkpoint; the status of timeout(1)."""
SIGNALLED = 128
"""128 + the number of a signal: stopped by that signal without a checkpoint."""


def status_of(error: MpiPiError) -> int:
    """Return the exit status of the command after a foreseen error."""
    if isinstance(error, BusyError):
        return RUN_AGAIN
    return BAD_USAGE if isinstance(error, UserError) else FAILED
