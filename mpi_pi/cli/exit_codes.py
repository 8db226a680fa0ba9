"""Exit statuses of the command, and the status of each foreseen error."""

import os
from typing import TYPE_CHECKING

from mpi_pi.errors import BusyError, MpiPiError, UserError

if TYPE_CHECKING:
    from mpi_pi.model.result import Result

VERIFIED = 0
FAILED = 1
BAD_USAGE = 2
NOT_VERIFIED = 3
WRONG_RANK = 4
"""Verified, but an audit has found ranks that count wrongly; others have counted their units again."""
RUN_AGAIN = os.EX_TEMPFAIL
"""75: stopped early, or by a silent rank, with a checkpoint to continue from; or the checkpoint is in use."""
UNKNOWN = os.EX_TEMPFAIL
"""75: `check --node` could not examine the node."""
TIME_LIMIT = 124
"""Stopped by --time-limit without a checkpoint; the status of timeout(1)."""
SIGNALLED = 128
"""128 + the number of a signal: stopped by that signal without a checkpoint."""


def status_of(error: MpiPiError) -> int:
    """Return the exit status of the command after a foreseen error."""
    if isinstance(error, BusyError):
        return RUN_AGAIN
    return BAD_USAGE if isinstance(error, UserError) else FAILED


def status_of_result(result: "Result") -> int:
    """Return the exit status for a complete result, or for one that an audit has ended."""
    if not result.verified:
        return NOT_VERIFIED
    return WRONG_RANK if result.audit and result.audit.wrong else VERIFIED


def status_after_silence(checkpoint: str | None) -> int:
    """Return the exit status of a job ended by a silent rank; `checkpoint` is its file, if any."""
    return RUN_AGAIN if checkpoint else FAILED
