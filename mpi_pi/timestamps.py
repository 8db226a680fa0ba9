"""Times at which this process passed the points of the program, to tell how long its phases take.

The points, in order: `program` (Python runs the first line of this package), `imported` (all but MPI), `mpi`
(MPI_Init has returned), `met` (all ranks have started), `kernel` (loaded), `start` (of the first round),
`end` (of the last), `summed` (rank 0 has the result), `counted` (and has saved it).
"""

import time

seconds: dict[str, float] = {}
"""Times of CLOCK_MONOTONIC, which all processes of a host share, by the name of the point."""


def mark(point: str) -> float:
    """Record and return the present time; it replaces an earlier one of the same point."""
    seconds[point] = time.clock_gettime(time.CLOCK_MONOTONIC)
    return seconds[point]


mark("program")
