"""What Slurm says of the job that this process belongs to; ValueError, fit for the user, if it does not."""

import os
import re
import time
from collections.abc import Mapping

from mpi_pi.system import command


def shard(environ: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Which task of how many in its job array this one is, counted from 1."""
    names = ("ID", "MIN", "MAX", "STEP", "COUNT")
    try:
        task, least, most, step, count = (int(environ[f"SLURM_ARRAY_TASK_{name}"]) for name in names)
    except (KeyError, ValueError):
        raise ValueError("this is no task of a job array: SLURM_ARRAY_TASK_ID is not set") from None
    if range(least, most + 1, step) != range(least, least + count * step, step) or step < 1:
        raise ValueError("the task numbers of the job array have gaps: say which shard with K/N")
    return (task - least) // step + 1, count


def seconds_left(environ: Mapping[str, str] = os.environ) -> float | None:
    """How long the job may still run; None without a time limit."""
    if "SLURM_JOB_ID" not in environ:
        raise ValueError("this is no Slurm job: SLURM_JOB_ID is not set")
    job = environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in environ:  # one of an array's tasks has the number of them all
        job = f"{environ['SLURM_ARRAY_JOB_ID']}_{environ.get('SLURM_ARRAY_TASK_ID')}"
    squeue = ["squeue", "--noheader", f"--jobs={job}", "--format=%L"]
    for pause in (1, 3, None):  # a controller that is busy may need to be asked again
        try:
            asked = command.run(squeue, 20)
        except command.CommandError as error:
            if pause is None:
                raise ValueError(f"squeue does not tell how long the job may still run: {error}") from error
            time.sleep(pause)
        else:
            break
    return _seconds(asked.stdout.strip())


def _seconds(text: str) -> float | None:
    """Slurm's [DAYS-][[HOURS:]MINUTES:]SECONDS in seconds; None for UNLIMITED."""
    if text == "UNLIMITED":
        return None
    match = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text)
    if not match:
        raise ValueError(f"squeue does not tell how long the job may still run: {text!r}")
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return ((24 * days + hours) * 60 + minutes) * 60 + seconds


def cpus_per_task(environ: Mapping[str, str] = os.environ) -> int | None:
    """The cores of each task, if that was asked for."""
    number = environ.get("SLURM_CPUS_PER_TASK", "")
    return int(number) if number.isdecimal() else None
