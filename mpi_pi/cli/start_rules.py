"""Rules of `mpi-pi keep-running`: what follows from the end of a start of a job. Plain values in and out."""

from mpi_pi.cli.exit_codes import BAD_USAGE, NOT_VERIFIED, SIGNALLED, VERIFIED, WRONG_RANK
from mpi_pi.cluster.job_start import Outcome
from mpi_pi.mpi.stop import TIME_LIMIT
from mpi_pi.system.signs import End

COMPLETE = (VERIFIED, NOT_VERIFIED, WRONG_RANK)
"""Exit statuses of a run that has counted all points."""

FINAL = (*COMPLETE, BAD_USAGE)
"""Exit statuses of a run that would be the same another time."""

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 2.0, 60.0


def final_end(outcome: Outcome, signalled: int) -> End | None:
    """Return the end of rank 0; None without one, and for a complete job whose report may be lost.

    A launcher that is ended while rank 0 ends its job discards what rank 0 prints. `signalled` is the number
    of a signal that was passed on to the job; 0 without one.
    """
    end = outcome.end
    is_cut_off = outcome.silent or (signalled and outcome.launcher != (end and end.status))
    return None if end and end.status in COMPLETE and is_cut_off else end


def final_status(outcome: Outcome, signalled: int) -> int | None:
    """Return the exit status if the job is not to be started again; None if it is.

    `signalled` is as for `final_end`.
    """
    end = final_end(outcome, signalled)
    if end and (signalled or end.status in FINAL or end.reason == TIME_LIMIT):
        return end.status
    return SIGNALLED + signalled if signalled else None


def pause(fruitless: int) -> float:
    """Return the seconds until the next start, after so many starts in a row without progress."""
    return min(FIRST_PAUSE_SECONDS * 2.0 ** max(fruitless - 1, 0), MAX_PAUSE_SECONDS)


def reason(outcome: Outcome, patience: float) -> str:
    """Return why a job has to be started again, as a clause."""
    if outcome.silent:
        return f"rank 0 gave no sign for {patience:g} s"
    if outcome.end:
        return f"rank 0 ended with status {outcome.end.status}"
    return f"the launcher ended with status {outcome.launcher} before the job was complete"
