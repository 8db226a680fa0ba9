"""The Slurm job of this process, and the job steps on this host.

Functions on the job raise ValueError, with a message for the user, if there is none.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mpi_pi.system import command
from mpi_pi.system.read_file import read_system_text

STEP_PROGRAM = "slurmstepd"
"""Name of the process of a job step."""


def shard(environ: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return the number of this task in its job array, from 1, and the number of tasks."""
    names = ("ID", "MIN", "MAX", "STEP", "COUNT")
    try:
        task, first, last, step, count = (int(environ[f"SLURM_ARRAY_TASK_{name}"]) for name in names)
    except (KeyError, ValueError):
        raise ValueError("this is no task of a job array: SLURM_ARRAY_TASK_ID is not set") from None
    if range(first, last + 1, step) != range(first, first + count * step, step) or step < 1:
        raise ValueError("the task numbers of the job array have gaps: say which shard with K/N")
    return (task - first) // step + 1, count


def seconds_left(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how long the job may still run; None without a time limit."""
    if "SLURM_JOB_ID" not in environ:
        raise ValueError("this is no Slurm job: SLURM_JOB_ID is not set")
    job = environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in environ:  # the job number of the last task of an array is that of the array
        job = f"{environ['SLURM_ARRAY_JOB_ID']}_{environ.get('SLURM_ARRAY_TASK_ID')}"
    squeue = ["squeue", "--noheader", f"--jobs={job}", "--format=%L"]
    return _seconds(command.answer(squeue, "how long the job may still run").strip())


def _seconds(text: str) -> float | None:
    """Return the seconds of [DAYS-][[HOURS:]MINUTES:]SECONDS; None for UNLIMITED."""
    if text == "UNLIMITED":
        return None
    match = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text)
    if not match:
        raise ValueError(f"squeue does not tell how long the job may still run: {text!r}")
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return ((24 * days + hours) * 60 + minutes) * 60 + seconds


def other_steps(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the steps of other jobs that run on this host, such as 123.0 or 123.batch, in ascending order.

    Each has a process that is called `slurmstepd: [123.0]`; one called `slurmstepd infinity` belongs to none.
    """
    steps = set()
    for folder in (root / "proc").glob("[0-9]*"):
        if read_system_text(folder / "comm").strip() == STEP_PROGRAM:
            match = re.match(r"slurmstepd: \[((\d+)\.\w+)", read_system_text(folder / "cmdline"))
            if match and match[2] != environ.get("SLURM_JOB_ID"):
                steps.add(match[1])
    return sorted(steps)
