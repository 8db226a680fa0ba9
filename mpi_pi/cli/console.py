"""What the command says, and where: the only printer. Of many ranks, one speaks."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from mpi_pi.cli import launcher_streams
from mpi_pi.report import plain
from mpi_pi.report.blocks import Block
from mpi_pi.system import launch_env


def prepare() -> None:
    """Make the standard streams safe, as the first thing that the command does.

    A descriptor 0, 1 or 2 that is closed would be the next file to be opened, and what any library then
    writes to standard error would go into it. Of a closed standard output `out` tells: `sys.stdout` is None.

    Both streams write an escape for each character that their encoding has not. That may be ASCII or Latin-1,
    and a file's name may hold bytes that are no character in any.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stderr is sys.__stderr__:  # and not what somebody who calls `main` has put in its place
        sys.stderr = _forgiving(sys.__stderr__)


def diagnostics() -> TextIO:
    """Where a question or a progress bar is seen: mpirun's own standard error if it is our parent, or ours.

    To write to it never raises OSError.
    """
    stream = launcher_streams.stream_of_launcher(2)
    return sys.stderr if stream is None else _forgiving(stream)


def _forgiving(stream: TextIO | None) -> TextIO:
    """Standard error as a stream that never raises OSError: that nobody hears what is said ends no run."""
    encoding = stream.encoding if stream else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(_Forgiving(stream)), encoding, "backslashreplace", line_buffering=True
    )


class _Forgiving(io.RawIOBase):
    """The descriptor of a stream, or 2, to write to; what cannot be written is thrown away."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # it would close the descriptor with itself
        self._descriptor = stream.fileno() if stream else 2

    def write(self, data: Any) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError:
            return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


def out(content: str | Sequence[Block], through_mpirun: bool = True, end: str = "") -> None:
    """Write text as it is, or blocks folded for a narrow terminal, and `end` to standard output.

    With `through_mpirun` off, the output of mpirun itself is written to, if it can be reached: mpirun may no
    longer forward ours. Raises RuntimeError.
    """
    launchers = launcher_streams.stream_of_launcher(1)
    text = content if isinstance(content, str) else plain.text(content, _columns(launchers or sys.stdout))
    stream = None if through_mpirun else launchers
    if stream is None and sys.stdout is None:
        raise RuntimeError("standard output is closed")
    try:
        with stream or contextlib.nullcontext(sys.stdout) as output:
            output.write(text + end)
            output.flush()
    except OSError as error:
        raise RuntimeError(f"standard output: {error.strerror}") from error


def _columns(stream: TextIO | None) -> int | None:
    """Return the width of the terminal that a stream leads to; None if it is none, or does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None if stream else None
    except (OSError, ValueError):  # a ValueError of what has no descriptor
        return None


def said(content: str | Sequence[Block], through_mpirun: bool = True) -> bool:
    """`out`, and whether that was possible; if not, why is said on standard error."""
    try:
        out(content, through_mpirun)
    except RuntimeError as problem:
        error(str(problem))
        return False
    return True


def error(message: str) -> None:
    """One line on standard error for each line of the message, from rank 0 alone."""
    if launch_env.rank() == 0:
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
    if sys.stderr is not None:  # print would take standard output instead
        print(f"mpi-pi: {message}", file=sys.stderr, flush=True)
