"""Messages to Hydra, MPICH's launcher, that MPI itself does not send, or not in time.

Each is a line of the wire protocol PMI-1, on the descriptor that Hydra names in PMI_FD.
"""

import contextlib
import os
import select
import time
from collections.abc import Callable

POLL_SECONDS = 0.001

LAST_WORD_SECONDS = 0.5
"""Time for mpirun to forward output before an abort; it may discard what arrives later."""


def is_there() -> bool:
    """Return whether Hydra has started this process as a rank."""
    return "MPI_LOCALNRANKS" in os.environ and os.environ.get("PMI_FD", "").isdecimal()


def abort(status: int) -> None:
    """End the job with this exit status; Hydra itself does not if a rank ends before MPI_Init."""
    if is_there():
        time.sleep(LAST_WORD_SECONDS)
        _send(f"abort exitcode={status}")


def leave(progress: Callable[[], object]) -> None:
    """Wait for all ranks to call this, and sign off, as MPI_Finalize does; call `progress` while waiting.

    Hydra takes the end of a rank that has not signed off for a crash.
    """
    for command in ("barrier_in", "finalize"):
        _send(command)
        _wait_for_answer(progress)


def _send(command: str) -> None:
    with contextlib.suppress(OSError):  # Hydra has ended
        os.write(int(os.environ["PMI_FD"]), f"cmd={command}\n".encode())


def _wait_for_answer(progress: Callable[[], object]) -> None:
    descriptor = int(os.environ["PMI_FD"])
    while not select.select([descriptor], [], [], POLL_SECONDS)[0]:
        progress()
    with contextlib.suppress(OSError):
        os.read(descriptor, 1024)
