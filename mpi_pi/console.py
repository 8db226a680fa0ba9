"""What the command says, and where: the only printer. Of many ranks, one speaks."""

import contextlib
import sys
from typing import TextIO

from mpi_pi import launcher


def out(text: str, through_mpirun: bool = True) -> None:
    """Results, to standard output; to mpirun's own where it no longer passes on ours. Raises RuntimeError."""
    stream: TextIO | None = None if through_mpirun else launcher.stream_of_launcher(1)
    try:
        with stream or contextlib.nullcontext(sys.stdout) as output:
            output.write(text)
            output.flush()
    except OSError as error:
        raise RuntimeError(f"standard output: {error.strerror}") from error


def error(message: str) -> None:
    """One line on standard error for each line of the message, from rank 0 alone."""
    if launcher.rank() == 0:
        complain(message)


def complain(message: str) -> None:
    """The same from whichever rank."""
    for line in message.splitlines():
        note(f"error: {line}")


def warning(message: str) -> None:
    """A line on standard error."""
    note(f"warning: {message}")


def note(message: str) -> None:
    """A line on standard error."""
    print(f"mpi-pi: {message}", file=sys.stderr, flush=True)
