"""When this process passed which point of the program, to tell where the time goes.

The points, in order: `program` (Python runs its first line), `imported` (all but MPI is), `mpi` (MPI_Init has
returned), `met` (all ranks have been heard of), `kernel` (the kernel is loaded), `start` (of the first
round), `end` (of the last), `summed` (the result is known to rank 0), `counted` (and saved).
"""

import time

seconds: dict[str, float] = {}
"""Of CLOCK_MONOTONIC, which all processes of a host have in common, by the name of the point."""


def mark(point: str) -> float:
    """Note the time, and return it; of a point that is passed more than once, the last one counts."""
    seconds[point] = time.clock_gettime(time.CLOCK_MONOTONIC)
    return seconds[point]


mark("program")
