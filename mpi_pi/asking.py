"""Ask the user a question, as the OctaPi lesson does, also through mpirun."""

import os
import select
from collections.abc import Callable
from typing import TextIO

from mpi_pi import launcher

PATIENCE_SECONDS = {None: 600, False: 20}
"""How long to wait for an answer through a launcher of whose input nothing is known, and through one that is
known to have no terminal."""


def ask(question: str, convert: Callable[[str], int], stream: TextIO) -> int:
    """Ask on `stream` until there is an answer that `convert` takes; EOFError if there is none.

    `convert` raises ValueError for what makes no sense.
    """
    while True:
        stream.write(question)
        stream.flush()
        answer = _line()
        try:
            return convert(answer)
        except ValueError as error:
            stream.write(f"{answer!r}: {error}\n")


def _line() -> str:
    """A line from standard input. Raises EOFError if there is none.

    Open MPI's mpirun does not tell its ranks when its own input has ended, so the wait has an end, unless
    there is a terminal with somebody thinking in front of it.
    """
    launched = launcher.started()
    limit = PATIENCE_SECONDS.get(launcher.input_of_launcher_is_terminal()) if launched else None
    line = b""
    while not line.endswith(b"\n"):
        # Byte by byte: what a buffer holds already, select does not see.
        ready, _, _ = select.select([0], [], [], limit)
        byte = os.read(0, 1) if ready else b""
        if not byte:
            raise EOFError
        line += byte
    return line.decode(errors="replace").strip()
