"""Reading of whole files: those of the system, with any bytes in them, and those that a user names."""

import os
import select
import stat
import time
from pathlib import Path

MAX_BYTES = 1 << 30
"""Maximum size of a user's file: a longer one is not ours, and not worth the memory."""

WRITER_SECONDS = 5.0
"""Limit of the wait for a writer of a named pipe."""
SILENT_SECONDS = 60.0
"""Limit of the time in which the writer of a pipe writes nothing."""

_CHUNK = 1 << 20


def read_system_text(path: Path, max_bytes: int = -1) -> str:
    """Return the text of a file of the system, such as /proc/stat; "" if it cannot be read.

    At most `max_bytes` bytes are read, if that is not negative. Bytes that are not UTF-8 are replaced: the
    name of a process, for one, is cut at 15 bytes.
    """
    try:
        with path.open("rb") as file:
            return file.read(max_bytes).decode(errors="replace")
    except (OSError, ValueError):  # a ValueError for a name that no file can have
        return ""


def read_user_file(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file, or all that comes out of a pipe, at most `max_bytes`.

    Raises OSError, with the reason in its `strerror`, instead of waiting for ever: a device, a folder, a pipe
    without a writer are refused.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer, and some files of /proc wait for news.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        facts = os.fstat(descriptor)
        is_pipe = stat.S_ISFIFO(facts.st_mode)
        if not (is_pipe or stat.S_ISREG(facts.st_mode)):
            raise OSError(0, "not a regular file")
        _refuse_if_longer(facts.st_size, max_bytes)
        content = bytearray()
        while chunk := _next_chunk(descriptor, may_lack_writer=is_pipe and not content):
            content += chunk
            _refuse_if_longer(len(content), max_bytes)
        return bytes(content)
    finally:
        os.close(descriptor)


def _refuse_if_longer(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise OSError(0, f"too large: more than {max_bytes >> 20} MiB")


def _next_chunk(descriptor: int, may_lack_writer: bool) -> bytes:
    """Return the next bytes of a file, b"" at its end."""
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < SILENT_SECONDS:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:  # somebody has it open for writing
            _wait_readable(descriptor, SILENT_SECONDS - waited)
            continue
        # At the end of a pipe, Linux tells whether it has had a writer since it was opened.
        if chunk or not may_lack_writer or _wait_readable(descriptor, 0):
            return chunk
        if waited > WRITER_SECONDS:
            raise OSError(0, "a pipe that nobody writes to")
        time.sleep(0.02)
    raise OSError(0, f"nothing came out of it for {SILENT_SECONDS:.0f} s")


def _wait_readable(descriptor: int, seconds: float) -> bool:
    """Return whether, within `seconds`, there is something to be read or the writer has gone."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
