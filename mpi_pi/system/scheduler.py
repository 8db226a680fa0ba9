"""The batch scheduler that runs this job: Slurm, PBS, LSF or Flux."""

import importlib
import os
from collections.abc import Mapping

ARRAYS = ("slurm", "pbs", "lsf")
"""Schedulers that tell a task of a job array how many tasks there are."""

SCHEDULERS = (*ARRAYS, "flux")
"""Schedulers, each with a module of that name beside this one."""

_JOB_IDS = {
    "SLURM_JOB_ID": "Slurm",
    "PBS_JOBID": "PBS",
    "LSB_BATCH_JID": "LSF",  # of an array task 17[3], where LSB_JOBID is 17
    "LSB_JOBID": "LSF",
    "FLUX_JOB_ID": "Flux",
    "FLUX_ENCLOSING_ID": "Flux",
}
"""The scheduler, by the variable that has the id of its job."""


def job_id(environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """Return the scheduler and the id of the job to which this process belongs; None if there is none.

    A task of a job array has the id that the commands of the scheduler read, such as 4711_3.
    """
    name = next((name for name in _JOB_IDS if environ.get(name)), None)
    if name is None:
        return None
    job = environ[name]
    if name == "SLURM_JOB_ID" and "SLURM_ARRAY_JOB_ID" in environ:
        job = f"{environ['SLURM_ARRAY_JOB_ID']}_{environ.get('SLURM_ARRAY_TASK_ID')}"
    return _JOB_IDS[name], job


def shard(scheduler: str) -> tuple[int, int]:
    """Return the position of this task in its job array, from 1, and the number of tasks.

    Raises ValueError, with a message for the user, if the scheduler, one of `ARRAYS`, does not tell.
    """
    found: tuple[int, int] = importlib.import_module(f"mpi_pi.system.{scheduler}").shard()
    return found


def seconds_left(scheduler: str) -> float | None:
    """Return how long the job of a scheduler, one of `SCHEDULERS`, may still run; None without a time limit.

    Raises ValueError, with a message for the user, if the scheduler does not tell.
    """
    found: float | None = importlib.import_module(f"mpi_pi.system.{scheduler}").seconds_left()
    return found


def threads_per_rank(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the number of cores that the job has requested for each rank of Slurm; None if it has not."""
    number = environ.get("SLURM_CPUS_PER_TASK", "")
    return int(number) if number.isdecimal() else None


def max_threads_per_rank(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the threads that a PBS job requests for a rank: its ompthreads, or else ncpus; None elsewhere.

    PBS binds no process to cores, so a rank may not take all that it could use. Without ompthreads the
    number is that of all ranks of a chunk together, hence only a limit. Flux binds ranks to the job's cores.
    """
    number = environ.get("NCPUS", "") if "PBS_JOBID" in environ else ""
    return int(number) or None if number.isdecimal() else None
