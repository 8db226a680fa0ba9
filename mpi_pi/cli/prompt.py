"""Ask the user a question, as the OctaPi lesson does, also through mpirun."""

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from mpi_pi.cli import launcher_streams
from mpi_pi.system import launch_env

PATIENCE_SECONDS = {None: 600, False: 20}
"""How long to wait for an answer through a launcher of whose input nothing is known, and through one that is
known to have no terminal."""

ON_ITS_WAY_SECONDS = 1
"""How long what a launcher has read before its input ended may take to get here."""
REST_SECONDS = 5
"""How long the rest of a line may take; terminals send whole ones."""
POLL_SECONDS = 0.2

MAX_ANSWERS = 100
MAX_BYTES = 4096
"""Of an answer."""


def ask(question: str, convert: Callable[[str], int]) -> int:
    """Ask on the terminal, or else on standard error, until there is an answer that `convert` takes.

    `convert` raises ValueError for what makes no sense. Raises EOFError if there is no answer, or none but
    such ones.
    """
    with _shown_to_the_user() as (stream, end):
        for _ in range(MAX_ANSWERS):
            stream.write(question + end)
            stream.flush()
            answer = _line()
            try:
                return convert(answer)
            except ValueError as error:
                stream.write(f"{answer!r}: {error}\n")
    raise EOFError


@contextlib.contextmanager
def _shown_to_the_user() -> Iterator[tuple[TextIO, str]]:
    """Where a question is seen, and what it has to end with there.

    Open MPI shows what its ranks print a line at a time, so a question has to end with its line, unless it
    goes to mpirun's own terminal.
    """
    with contextlib.ExitStack() as opened:
        found = [launcher_streams.stream_of_launcher(descriptor) for descriptor in (2, 1)]
        own = [opened.enter_context(stream) for stream in found if stream]
        if not own and sys.stderr is None:
            own = [opened.enter_context(open(os.devnull, "w"))]  # noqa: PTH123  # it has no path worth one
        streams = own or [stream for stream in (sys.stderr, sys.stdout) if stream]
        terminal = next((stream for stream in streams if stream.isatty()), streams[0])
        yield terminal, "" if own or not launch_env.started() else "\n"


def _line() -> str:
    """A line from standard input, the last of which need have no end. Raises EOFError if there is none.

    Open MPI's mpirun does not tell its ranks when its own input has ended, so the wait has an end, unless
    there is a terminal with somebody thinking in front of it.
    """
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_BYTES and _more_to_come(bool(line)):
        byte = os.read(0, 1)  # byte by byte: what a buffer holds already, select does not see
        if not byte:
            break
        line += byte
    if not line:
        raise EOFError
    return line.decode(errors="replace").strip()


def _more_to_come(begun: bool) -> bool:
    """Wait until more of a line can be read, be it the end of the input; whether it can."""
    if sys.stdin is None:  # it was closed, and its number may stand for something else by now
        return False
    if not launch_env.started():
        return bool(select.select([0], [], [])[0])
    start = heard = time.monotonic()
    limit = REST_SECONDS if begun else PATIENCE_SECONDS.get(launcher_streams.input_of_launcher_is_terminal())
    while limit is None or time.monotonic() < start + limit:
        if select.select([0], [], [], POLL_SECONDS)[0]:
            return True
        if not launcher_streams.input_of_launcher_has_ended():
            heard = time.monotonic()
        elif time.monotonic() > heard + ON_ITS_WAY_SECONDS:
            return False
    return False
