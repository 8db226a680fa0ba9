"""Questions to the user, as in the OctaPi lesson, also through mpirun."""

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from mpi_pi.cli import launcher_streams
from mpi_pi.system import launch_env

ANSWER_SECONDS = {None: 600, False: 20}
"""Time limit for an answer through a launcher, by whether its input is a terminal, None if that is unknown.
There is none on a terminal."""

FORWARD_SECONDS = 1
"""Time that a launcher may take to forward the last input that it has read."""
REST_SECONDS = 5
"""Time limit for the rest of a line; terminals send whole lines."""
POLL_SECONDS = 0.2

MAX_ANSWERS = 100
MAX_BYTES = 4096
"""Largest size of an answer."""


def ask(question: str, convert: Callable[[str], int]) -> int:
    """Ask on the terminal, or else on standard error, until `convert` accepts an answer; return its value.

    `convert` raises ValueError for an answer that makes no sense. Raises EOFError if the input ends, if there
    is no answer in time, or after MAX_ANSWERS such answers.
    """
    with _question_stream() as (stream, end):
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
def _question_stream() -> Iterator[tuple[TextIO, str]]:
    """Yield the stream that shows a question to the user, and the text that has to end the question there.

    Open MPI forwards the output of ranks by lines, so a question ends with a line end, unless it goes to
    mpirun's own terminal.
    """
    with contextlib.ExitStack() as opened:
        found = [launcher_streams.stream_of_launcher(descriptor) for descriptor in (2, 1)]
        own = [opened.enter_context(stream) for stream in found if stream]
        if not own and sys.stderr is None:
            own = [opened.enter_context(open(os.devnull, "w"))]  # noqa: PTH123  # no need for a Path
        streams = own or [stream for stream in (sys.stderr, sys.stdout) if stream]
        terminal = next((stream for stream in streams if stream.isatty()), streams[0])
        yield terminal, "" if own or not launch_env.started() else "\n"


def _line() -> str:
    """Return a line of standard input, the last of which may lack a line end. Raises EOFError without a line.

    The wait has a time limit, except on a terminal, since Open MPI's mpirun does not tell its ranks when its
    input has ended.
    """
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_BYTES and _wait_for_input(bool(line)):
        byte = os.read(0, 1)  # a single byte, since select does not see data in a buffer
        if not byte:
            break
        line += byte
    if not line:
        raise EOFError
    return line.decode(errors="replace").strip()


def _wait_for_input(begun: bool) -> bool:
    """Wait for more of a line, or the end of the input; return False if there is neither in time."""
    if sys.stdin is None:  # closed at the start, and 0 may be another file by now
        return False
    if not launch_env.started():
        return bool(select.select([0], [], [])[0])
    start = open_at = time.monotonic()
    limit = REST_SECONDS if begun else ANSWER_SECONDS.get(launcher_streams.input_of_launcher_is_terminal())
    while limit is None or time.monotonic() < start + limit:
        if select.select([0], [], [], POLL_SECONDS)[0]:
            return True
        if not launcher_streams.input_of_launcher_has_ended():
            open_at = time.monotonic()
        elif time.monotonic() > open_at + FORWARD_SECONDS:
            return False
    return False
