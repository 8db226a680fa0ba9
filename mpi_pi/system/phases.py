"""Where the time of rank 0 goes, from its launcher to its report.

The steps of rank 0 itself, `OWN`, follow on each other without a gap: they add up to the wall time from the
start of its process until the result is known. The launcher is before that, and saving after it.
"""

import time
from collections.abc import Mapping

from mpi_pi import timestamps
from mpi_pi.system import process

OWN = {
    "Python": "until the program's first line",
    "imports": "NumPy and this program",
    "MPI_Init": "with the import of mpi4py",
    "meeting": "until all ranks have started",
    "kernel load": "from the cache, or compiled",
    "agreements": "files, checkpoint, roll call, known answers: until all ranks are ready",
    "count": "",
    "reduce and wait": "the rest of the rounds",
    "last reduce": "until the result is known",
}
"""What each of them is."""


def of_rank_0(kernel_seconds: float, count_seconds: float) -> dict[str, float]:
    """Seconds of each step, on rank 0, given its own; nothing where the system does not tell of processes.

    `launcher` is among them if rank 0 can see when its launcher was started. Saving ends now.
    """
    start, known = process.process_start(), timestamps.seconds.get("summed")
    if start is None or known is None:
        return {}
    at = {"process": start} | timestamps.seconds
    started = process.launcher_start()
    before = {} if started is None else {"launcher": max(start - started, 0.0)}
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    passed = before | own(at, kernel_seconds, count_seconds) | {"saving": now - known}
    return {name: max(seconds, 0.0) for name, seconds in passed.items()}  # without what rounding has left


def own(at: Mapping[str, float], kernel_seconds: float, count_seconds: float) -> dict[str, float]:
    """Seconds of each of `OWN`, from when rank 0 passed which point; it may not have come to all of them."""
    end = at.get("end", at["summed"])
    start = at.get("start", end)
    seconds = (
        at["program"] - at["process"],
        at["imported"] - at["program"],
        at["mpi"] - at["imported"],
        at["met"] - at["mpi"],
        kernel_seconds,
        start - at["met"] - kernel_seconds,
        count_seconds,
        end - start - count_seconds,
        at["summed"] - end,
    )
    return dict(zip(OWN, seconds, strict=True))


def sum_of_own(steps: Mapping[str, float]) -> float:
    """What the steps of rank 0 itself come to."""
    return sum(steps[name] for name in OWN)
