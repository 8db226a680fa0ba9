"""The LSF job of this process.

Functions raise ValueError, with a message for the user, if there is none.
"""

import os
import re
from collections.abc import Mapping

from mpi_pi.system import command


def shard(environ: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return the position of this task in its job array, from 1, and the number of tasks.

    LSF tells a task the last number of the array, but not the first one: that has to be 1.
    """
    names = ("LSB_JOBINDEX", "LSB_JOBINDEX_END", "LSB_JOBINDEX_STEP")
    index, last, step = (int(text) if text.isdecimal() else 0 for text in (environ.get(n, "") for n in names))
    if not index or not last:
        raise ValueError("this is no task of a job array: LSB_JOBINDEX is not set, or 0")
    tasks = range(1, last + 1, step or 1)
    if index not in tasks:
        raise ValueError("the task numbers of the job array do not begin at 1: say which shard with K/N")
    return tasks.index(index) + 1, len(tasks)


def seconds_left(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how long the job may still run, as bjobs has it, in whole minutes; None without a time limit."""
    # LSB_BATCH_JID has the index of a job array, too: 17[3].
    job = environ.get("LSB_BATCH_JID") or environ.get("LSB_JOBID")
    if not job:
        raise ValueError("this is no LSF job: LSB_JOBID is not set")
    what = "how long the job may still run"
    text = command.answer(["bjobs", "-noheader", "-o", "time_left", job], what).strip()
    if text == "-":
        return None
    match = re.fullmatch(r"(\d+):(\d+)(?: [LEX])?", text)  # the letter tells where the limit comes from
    if not match:
        raise ValueError(f"bjobs does not tell {what}: {text!r}")
    return (int(match[1]) * 60 + int(match[2])) * 60
