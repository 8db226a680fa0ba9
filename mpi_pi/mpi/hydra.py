"""What a rank says to Hydra, MPICH's launcher, by itself: where MPI does not, or not in time.

Every command is a line of its wire protocol PMI-1, on a descriptor that Hydra names in the environment.
"""

import contextlib
import os
import select
import time
from collections.abc import Callable

_STEP_SECONDS = 0.001

LAST_WORD_SECONDS = 0.5
"""How long mpirun has to pass on what was printed before an abort; it may throw away what comes later."""


def is_there() -> bool:
    """Whether Hydra has started this process as a rank."""
    return "MPI_LOCALNRANKS" in os.environ and os.environ.get("PMI_FD", "").isdecimal()


def abort(status: int) -> None:
    """End the job, with this exit status: unlike others, Hydra does not when a rank ends before MPI_Init."""
    if is_there():
        time.sleep(LAST_WORD_SECONDS)
        _say(f"abort exitcode={status}")


def leave(progress: Callable[[], object]) -> None:
    """Wait for all ranks to call this, and take leave, as MPI_Finalize does; call `progress` meanwhile.

    Without a leave Hydra takes the end of a rank for a crash.
    """
    for command in ("barrier_in", "finalize"):
        _say(command)
        _wait_for_answer(progress)


def _say(command: str) -> None:
    with contextlib.suppress(OSError):  # it has ended
        os.write(int(os.environ["PMI_FD"]), f"cmd={command}\n".encode())


def _wait_for_answer(progress: Callable[[], object]) -> None:
    descriptor = int(os.environ["PMI_FD"])
    while not select.select([descriptor], [], [], _STEP_SECONDS)[0]:
        progress()
    with contextlib.suppress(OSError):
        os.read(descriptor, 1024)
