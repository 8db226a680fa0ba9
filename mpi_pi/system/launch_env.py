"""The environment that a launcher (mpirun, srun, flux run) gives a rank, readable before or without MPI."""

import os
from collections.abc import Mapping

_RANK = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")
_SIZE = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def rank(environ: Mapping[str, str] = os.environ) -> int:
    """Return the rank of this process as the launcher numbered it; 0 without a launcher."""
    names = (*_RANK, "SLURM_PROCID") if "SLURM_STEP_NUM_TASKS" in environ else _RANK
    return _first_number(environ, (*names, "FLUX_TASK_RANK")) or 0


def size(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return how many ranks the launcher started together; None without a launcher that says so.

    A launcher's own variable goes before that of Slurm or Flux: mpirun's daemons are tasks of these, too, one
    on each node.
    """
    return _first_number(environ, (*_SIZE, "FLUX_JOB_SIZE", "SLURM_STEP_NUM_TASKS"))


def size_on_host(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many ranks Open MPI has started on this host; 0 if it is not known."""
    return _first_number(environ, ("OMPI_COMM_WORLD_LOCAL_SIZE",)) or 0


def started(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a launcher has started this process as a rank.

    A Slurm step counts from 2 tasks on: the shell of `srun --pty bash` is one task, too.
    """
    return _first_number(environ, (*_SIZE, *_RANK)) is not None or (size(environ) or 0) > 1


def survives_loss(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether Open MPI's `mpirun --with-ft ulfm` has started this job, which can survive losses."""
    return environ.get("OMPI_MCA_mpi_ft_enable", "").lower() in ("1", "t", "true", "enabled", "y", "yes")


def job(environ: Mapping[str, str] = os.environ) -> str:
    """Return what Open MPI calls this job, after host and process of mpirun; "" unless it survives losses."""
    return environ.get("PMIX_NAMESPACE", "") if survives_loss(environ) else ""


def rank_of(environ: Mapping[str, str]) -> int | None:
    """Return the rank of a process with this environment; None if no launcher has started it."""
    return _first_number(environ, (*_RANK, "FLUX_TASK_RANK", "SLURM_PROCID"))


def _first_number(environ: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    return next((int(environ[name]) for name in names if environ.get(name, "").isdecimal()), None)


def missing_basics() -> dict[str, str]:
    """Return HOME and PATH where they are missing: Open MPI does not start without them.

    Slurm's HealthCheckProgram has neither, and a service may lack HOME.
    """
    home = os.path.expanduser("~")  # noqa: PTH111  # Path.home() raises where the user has no entry
    defaults = {"HOME": home if home.startswith("/") else "/", "PATH": os.defpath}
    return {name: value for name, value in defaults.items() if not os.environ.get(name)}
