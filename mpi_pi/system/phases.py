"""The time of rank 0, divided into phases from its launcher to its report.

`PHASES` follow on each other without a gap: they add up to the wall time from the start of the process of
rank 0 until the result is known. `launcher` is before them, and `saving` after.
"""

import time
from collections.abc import Mapping

from mpi_pi import timestamps
from mpi_pi.system import process

PHASES = {
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
"""The phases of rank 0, each with its explanation in the report."""


def of_rank_0(kernel_seconds: float, count_seconds: float) -> dict[str, float]:
    """Return the seconds of each phase, on rank 0; empty if the system does not tell when it was started.

    `launcher` is included if rank 0 can see when its launcher was started; `saving` ends now.
    """
    start, known = process.process_start(), timestamps.seconds.get("summed")
    if start is None or known is None:
        return {}
    mpirun = process.mpirun_pid()
    launched = None if mpirun is None else process.process_start(mpirun)
    launcher = {} if launched is None else {"launcher": start - launched}
    saving = time.clock_gettime(time.CLOCK_MONOTONIC) - known
    own = durations({"process": start} | timestamps.seconds, kernel_seconds, count_seconds)
    # The start of a process is rounded to 10 ms, which can make a phase negative.
    return {name: max(seconds, 0.0) for name, seconds in (launcher | own | {"saving": saving}).items()}


def durations(at: Mapping[str, float], kernel_seconds: float, count_seconds: float) -> dict[str, float]:
    """Return the seconds of each of `PHASES`, given when rank 0 passed each point.

    Without `end`, or without `start` too, the run was interrupted in a round, or before the first one.
    """
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
    return dict(zip(PHASES, seconds, strict=True))


def total(seconds: Mapping[str, float]) -> float:
    """Return the sum of `PHASES`."""
    return sum(seconds[name] for name in PHASES)
