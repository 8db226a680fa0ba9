"""Hits by the reference implementation."""

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job


def hits(job: Job) -> int:
    return int(reference.count(job, range(job.units)).sum())
