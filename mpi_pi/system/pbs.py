"""The PBS job of this process, in OpenPBS, PBS Professional or Torque.

Functions raise ValueError, with a message for the user, if there is none.
"""

import os
import re
import time
from collections.abc import Mapping

from mpi_pi.system import command


def shard(environ: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return the position of this task in its job array, from 1, and the number of tasks.

    A task has its own number in its environment; the range of all numbers is known to the server alone.
    """
    index, job = environ.get("PBS_ARRAY_INDEX", ""), environ.get("PBS_JOBID", "")
    if not index.isdecimal():
        raise ValueError("this is no task of a job array: PBS_ARRAY_INDEX is not set")
    array = re.sub(r"\[\d+\]", "[]", job)  # 17[] is the array of which 17[3] is a task
    told = _attributes(array, "how many tasks the job array has")
    numbers = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?", told.get("array_indices_submitted", ""))
    if not numbers:
        raise ValueError("qstat does not tell how many tasks the job array has: say which shard with K/N")
    tasks = range(int(numbers[1]), int(numbers[2]) + 1, int(numbers[3] or 1))
    if int(index) not in tasks:
        raise ValueError(f"PBS_ARRAY_INDEX is {index}, which is not in the job array {numbers[0]}")
    return tasks.index(int(index)) + 1, len(tasks)


def seconds_left(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how long the job may still run; None without a time limit."""
    if "PBS_JOBID" not in environ:
        raise ValueError("this is no PBS job: PBS_JOBID is not set")
    what = "how long the job may still run"
    told = _attributes(environ["PBS_JOBID"], what)
    limit = told.get("Resource_List.walltime")
    if limit is None:
        return None
    try:
        used: float = _seconds(told.get("resources_used.walltime", "0"))
        # The server learns only from time to time what a job has used.
        if started := told.get("stime") or told.get("start_time"):
            used = max(used, time.time() - time.mktime(time.strptime(started)))
        return _seconds(limit) - used
    except ValueError as error:
        raise ValueError(f"qstat does not tell {what}: {error}") from error


def _attributes(job: str, what: str) -> dict[str, str]:
    """Return the attributes of a job, as qstat prints them, a line for each."""
    text = command.answer(["qstat", "-f", job], what)
    return dict(re.findall(r"^\s*([\w.]+) = (.*?)\s*$", text, re.MULTILINE))


def _seconds(text: str) -> int:
    """Return the seconds of [[[DAYS:]HOURS:]MINUTES:]SECONDS."""
    units = (1, 60, 60 * 60, 24 * 60 * 60)
    return sum(int(number) * unit for number, unit in zip(reversed(text.split(":")), units, strict=False))
