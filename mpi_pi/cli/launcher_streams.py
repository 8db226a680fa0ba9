"""Standard streams of mpirun, if it is the parent process of this rank.

The streams of a rank are pipes or pseudo-terminals of mpirun. Only mpirun's own streams tell whether the user
has a terminal, show text without a line end, such as a progress bar, and still work after an interrupt, since
mpirun then discards the output of its ranks.
"""

import contextlib
import os
import re
import select
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from mpi_pi.system.process import mpirun_pid
from mpi_pi.system.read_file import read_system_text


def stream_of_launcher(descriptor: int) -> TextIO | None:
    """Return standard output (1) or standard error (2) of the parent process mpirun, opened for writing.

    Returns None if the parent is not mpirun, was started without this stream, or writes to a pipe without a
    reader.
    """
    # With O_APPEND, since each opening of a file has an offset of its own.
    opened = _open_stream(descriptor, os.O_WRONLY | os.O_APPEND)
    if opened is None:
        return None
    # In the encoding that the user has chosen for ours, with an escape for what is not in it.
    ours = sys.stdout if descriptor == 1 else sys.stderr
    return os.fdopen(opened, "w", encoding=getattr(ours, "encoding", None), errors="backslashreplace")


def input_of_launcher_is_terminal() -> bool | None:
    """Return whether mpirun reads from a terminal; None if it is not our parent process."""
    with _input_of_launcher() as opened:
        return None if opened is None else os.isatty(opened)


def input_of_launcher_has_ended() -> bool:
    """Return whether mpirun has read its input to the end; False if that cannot be seen from here."""
    with _input_of_launcher() as opened:
        if opened is None:
            return False
        if os.isatty(opened):
            return not _launcher_awaits_input()
        found = os.fstat(opened)
        if stat.S_ISREG(found.st_mode):
            return int(_fdinfo(mpirun_pid(), 0).get("pos", 0)) >= found.st_size
        if not stat.S_ISFIFO(found.st_mode):
            return stat.S_ISCHR(found.st_mode)  # /dev/null
        pipe = select.poll()
        pipe.register(opened, select.POLLIN)
        return [event for _, event in pipe.poll(0)] == [select.POLLHUP]  # neither a writer nor data


@contextlib.contextmanager
def _input_of_launcher() -> Iterator[int | None]:
    opened = _open_stream(0, os.O_RDONLY)
    try:
        yield opened
    finally:
        if opened is not None:
            os.close(opened)


def _launcher_awaits_input() -> bool:
    """Return whether mpirun polls its input, which it does not after Ctrl-D; True if that is unknown."""
    with contextlib.suppress(OSError):
        process = Path(f"/proc/{mpirun_pid()}")
        epolls = [
            (process / "fdinfo" / descriptor.name).read_text()
            for descriptor in (process / "fd").iterdir()
            if str(descriptor.readlink()) == "anon_inode:[eventpoll]"
        ]
        return not epolls or any(re.search(r"^tfd:\s*0\s", epoll, re.MULTILINE) for epoll in epolls)
    return True


def _open_stream(descriptor: int, flags: int) -> int | None:
    """Open a standard stream of mpirun anew, and return our descriptor, or None if that fails."""
    process = mpirun_pid()
    if process is None or not _is_inherited(process, descriptor, flags & os.O_ACCMODE):
        return None
    try:
        # Without O_NONBLOCK, opening a pipe that has no reader would wait for one.
        opened = os.open(f"/proc/{process}/fd/{descriptor}", flags | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    os.set_blocking(opened, True)
    return opened


def _is_inherited(process: int, descriptor: int, access: int) -> bool:
    """Return whether a process was started with this descriptor, open for this access.

    If mpirun was started without standard error, its descriptor 2 is a pipe of its own by now.
    """
    info = _fdinfo(process, descriptor)
    flags = int(info.get("flags", "0"), 8)
    return bool(info) and not flags & os.O_CLOEXEC and flags & os.O_ACCMODE in (access, os.O_RDWR)


def _fdinfo(process: int | None, descriptor: int) -> dict[str, str]:
    """Return /proc/PID/fdinfo/DESCRIPTOR, {} if it cannot be read."""
    lines = read_system_text(Path(f"/proc/{process}/fdinfo/{descriptor}")).splitlines()
    return {name: value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}
