"""The Flux job of this process.

Functions raise ValueError, with a message for the user, if there is none.
"""

import os
from collections.abc import Mapping

from mpi_pi.system import command

NO_LIMIT = 2**32 - 1
"""What `flux job timeleft` prints for a job without a time limit."""


def seconds_left(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how long the job may still run; None without a time limit."""
    if "FLUX_URI" not in environ:
        raise ValueError("this is no Flux job: FLUX_URI is not set")
    what = "how long the job may still run"
    text = command.answer(["flux", "job", "timeleft"], what).strip()
    if not text.isdecimal():
        raise ValueError(f"flux does not tell {what}: {text!r}")
    return None if int(text) >= NO_LIMIT else int(text)
