"""Text to standard output and standard error: the only printer. Most errors are printed by rank 0 alone."""

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
    """Make the standard streams safe, before the command does anything else.

    A closed descriptor 0, 1 or 2 is opened on /dev/null. Otherwise the next file to be opened would get its
    number, and text that a library writes to standard error would go into that file. `out` still reports a
    closed standard output, for which `sys.stdout` is None.

    Both streams write an escape for each character that is not in their encoding, which may be ASCII or
    Latin-1; a file name may even contain bytes that are no character in any encoding.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stderr is sys.__stderr__:  # a caller of `main` may have replaced it
        sys.stderr = _forgiving(sys.__stderr__)


def diagnostics() -> TextIO:
    """Return the stream for a progress bar: standard error of the parent process mpirun, or else our own.

    Writing to it never raises OSError.
    """
    stream = launcher_streams.stream_of_launcher(2)
    return sys.stderr if stream is None else _forgiving(stream)


def _forgiving(stream: TextIO | None) -> TextIO:
    """Return a stream to standard error that never raises OSError: a lost reader must not end a run."""
    encoding = stream.encoding if stream else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(_Forgiving(stream)), encoding, "backslashreplace", line_buffering=True
    )


class _Forgiving(io.RawIOBase):
    """Raw output to the descriptor of a stream, or to 2, that discards data on an OSError."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # kept alive, since it closes the descriptor when it is deleted
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
    """Write text, or blocks folded to the width of the terminal, and then `end` to standard output.

    Without `through_mpirun`, write to the standard output of the parent process mpirun, if there is one,
    since mpirun may not forward ours any more. Raises RuntimeError if that fails.
    """
    launchers = launcher_streams.stream_of_launcher(1)
    text = content if isinstance(content, str) else plain.text(content, columns(launchers or sys.stdout))
    stream = None if through_mpirun else launchers
    if stream is None and sys.stdout is None:
        raise RuntimeError("standard output is closed")
    try:
        with stream or contextlib.nullcontext(sys.stdout) as output:
            output.write(text + end)
            output.flush()
    except OSError as error:
        raise RuntimeError(f"standard output: {error.strerror}") from error


def columns(stream: TextIO | None) -> int | None:
    """Return the width of the stream's terminal in columns; None without a terminal, or if it is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None if stream else None
    except (OSError, ValueError):  # ValueError if the stream has no descriptor
        return None


def said(content: str | Sequence[Block], through_mpirun: bool = True) -> bool:
    """Call `out`, and return whether that succeeded; print the error if not."""
    try:
        out(content, through_mpirun)
    except RuntimeError as problem:
        error(str(problem))
        return False
    return True


speaks = launch_env.rank() == 0
"""True if this rank prints the errors of all ranks. It is set on the rank that takes over from rank 0."""


def error(message: str) -> None:
    """Print an error, a line for each line of the message, to standard error; on one rank only."""
    if speaks:
        complain(message)


def complain(message: str) -> None:
    """Print an error, as `error` does, on any rank."""
    for line in message.splitlines():
        note(f"error: {line}")


def warning(message: str) -> None:
    """Print a warning, in a line, to standard error."""
    note(f"warning: {message}")


def note(message: str) -> None:
    """Print a line to standard error."""
    if sys.stderr is not None:  # print would take standard output instead
        print(f"mpi-pi: {message}", file=sys.stderr, flush=True)


def raw(output: bytes) -> None:
    """Write output of another program to standard error, as it is."""
    stream = sys.stderr
    if output and stream is not None:
        stream.buffer.write(output)
        stream.buffer.flush()
