"""Units cut into pieces, as ranks get them."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.job import Job
from mpi_pi.parallel.partition import offsets


def partition(job: Job, units: range, weights: Sequence[int] | NDArray[np.int64]) -> list[range]:
    """Return the piece of each rank."""
    return [units[start:stop] for start, stop in itertools.pairwise(offsets(job, units, weights).tolist())]
