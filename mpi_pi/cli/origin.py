"""The origin of a result of this process: its start, its job and its command."""

import time
from collections.abc import Sequence

from mpi_pi.model.origin import Origin
from mpi_pi.system.scheduler import job_id

_OF_KEEP_RUNNING = ("--supervised", "--resume-state")
"""Options that `mpi-pi keep-running` adds to a command."""


def origin_of(arguments: Sequence[str]) -> Origin:
    """Return the origin of a result that is begun now, by `mpi-pi` with these arguments."""
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    scheduler, job = job_id() or (None, None)
    return Origin(date, scheduler, job, ("mpi-pi", *_as_typed(arguments)))


def _as_typed(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without the options of `keep-running`, each of which has a value."""
    words = list(arguments)
    for option in _OF_KEEP_RUNNING:
        if option in words:
            place = words.index(option)
            del words[place : place + 2]
    return words
