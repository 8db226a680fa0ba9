"""Files read whole: those of the system, whatever bytes are in them, and those that a user names."""

import os
import select
import stat
import time
from pathlib import Path

MAX_BYTES = 1 << 30
"""A longer file of a user's is not ours, and not worth the memory."""

WRITER_SECONDS = 5.0
"""How long a named pipe may be without anybody who writes to it."""
SILENT_SECONDS = 60.0
"""How long whoever writes to a pipe may be silent."""

_CHUNK = 1 << 20


class ReadError(OSError):
    """A file that cannot be read; `strerror` says why."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why)


def system_text(path: Path) -> str | None:
    """Return the text of a file of the system, such as /proc/cpuinfo; None if it cannot be read.

    Bytes that are not UTF-8 are replaced: the name of a process, for one, is cut at 15 bytes.
    """
    try:
        return path.read_bytes().decode(errors="replace")
    except (OSError, ValueError):  # a ValueError for a name that no file can have
        return None


def user_file(path: Path, most_bytes: int = MAX_BYTES) -> bytes:
    """Return what is in a regular file, or comes out of a pipe, of at most so many bytes.

    Raises OSError, and never waits for ever: a device, a folder, a pipe that nobody writes to are refused.
    """
    # Without O_NONBLOCK, to open a pipe waits for a writer; and some files of /proc wait for news.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        facts = os.fstat(descriptor)
        if not (stat.S_ISREG(facts.st_mode) or stat.S_ISFIFO(facts.st_mode)):
            raise ReadError("not a regular file")
        _refuse_if_longer(facts.st_size, most_bytes)
        content = bytearray()
        while part := _next(descriptor, first=not content and stat.S_ISFIFO(facts.st_mode)):
            content += part
            _refuse_if_longer(len(content), most_bytes)
        return bytes(content)
    finally:
        os.close(descriptor)


def _refuse_if_longer(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise ReadError(f"too large: more than {most_bytes >> 20} MiB")


def _next(descriptor: int, first: bool) -> bytes:
    """Return the next part of a file, b"" at its end; `first` if that may be a pipe without a writer yet."""
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < SILENT_SECONDS:
        try:
            part = os.read(descriptor, _CHUNK)
        except BlockingIOError:  # somebody has it open for writing
            _told(descriptor, SILENT_SECONDS - waited)
            continue
        # At the end of a pipe Linux tells of its writers, if it has had any since it was opened.
        if part or not first or _told(descriptor, 0):
            return part
        if waited > WRITER_SECONDS:
            raise ReadError("a pipe that nobody writes to")
        time.sleep(0.02)
    raise ReadError(f"nothing came out of it for {SILENT_SECONDS:.0f} s")


def _told(descriptor: int, seconds: float) -> bool:
    """Whether there is something to be read, or the writer has gone, within so many seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
