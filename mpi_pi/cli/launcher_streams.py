"""The standard streams of mpirun itself, where it is the parent process of this rank."""

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


def stream_of_launcher(descriptor: int) -> TextIO | None:
    """The standard output (1) or error (2) of mpirun itself, where it is our parent process; else None.

    None, too, where mpirun was started without it, or where nobody reads from it any more.

    Ranks write into pipes and pseudo-terminals of mpirun's. Only mpirun's own streams tell whether a user
    looks at a terminal. Only they show a line that has no end yet, such as a progress bar. And only they
    still lead somewhere once mpirun was interrupted: from then on it throws away what its ranks print.
    """
    # A file has an offset of its own for every time that it is opened, hence O_APPEND.
    opened = _opened_of_launcher(descriptor, os.O_WRONLY | os.O_APPEND)
    if opened is None:
        return None
    # In the encoding that the user has chosen for ours, and with an escape for what that cannot write.
    ours = sys.stdout if descriptor == 1 else sys.stderr
    return os.fdopen(opened, "w", encoding=getattr(ours, "encoding", None), errors="backslashreplace")


def input_of_launcher_is_terminal() -> bool | None:
    """Whether mpirun reads from a terminal; None where it is not our parent process."""
    with _input_of_launcher() as opened:
        return None if opened is None else os.isatty(opened)


def input_of_launcher_has_ended() -> bool:
    """Whether mpirun has read all that there is to be read, as far as that can be seen from here."""
    with _input_of_launcher() as opened:
        if opened is None:
            return False
        if os.isatty(opened):
            return not _launcher_awaits_input()
        found = os.fstat(opened)
        if stat.S_ISREG(found.st_mode):
            return _position_in_input() >= found.st_size
        if not stat.S_ISFIFO(found.st_mode):
            return stat.S_ISCHR(found.st_mode)  # /dev/null
        pipe = select.poll()
        pipe.register(opened, select.POLLIN)
        return [event for _, event in pipe.poll(0)] == [select.POLLHUP]  # nobody to write, nothing to read


@contextlib.contextmanager
def _input_of_launcher() -> Iterator[int | None]:
    opened = _opened_of_launcher(0, os.O_RDONLY)
    try:
        yield opened
    finally:
        if opened is not None:
            os.close(opened)


def _launcher_awaits_input() -> bool:
    """Whether mpirun listens to its input, which it does not after Ctrl-D. True if nobody can tell."""
    with contextlib.suppress(OSError):
        process = Path(f"/proc/{mpirun_pid()}")
        waiting_for = [
            (process / "fdinfo" / descriptor.name).read_text()
            for descriptor in (process / "fd").iterdir()
            if str(descriptor.readlink()) == "anon_inode:[eventpoll]"
        ]
        return not waiting_for or any(re.search(r"^tfd:\s*0\s", told, re.MULTILINE) for told in waiting_for)
    return True


def _position_in_input() -> int:
    """How far mpirun has read the file that is its input."""
    try:
        told = Path(f"/proc/{mpirun_pid()}/fdinfo/0").read_text()
    except OSError:
        return 0
    return int(re.findall(r"^pos:\s*(\d+)", told, re.MULTILINE)[0])


def _opened_of_launcher(descriptor: int, flags: int) -> int | None:
    process = mpirun_pid()
    if process is None or not _is_inherited(process, descriptor, flags & os.O_ACCMODE):
        return None
    try:
        # Without O_NONBLOCK it would wait for ever for somebody to read from a pipe that nobody reads.
        opened = os.open(f"/proc/{process}/fd/{descriptor}", flags | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    os.set_blocking(opened, True)
    return opened


def _is_inherited(process: int, descriptor: int, access: int) -> bool:
    """Whether a process was started with this descriptor, open for such access.

    Where mpirun was started without a standard error, its descriptor 2 is a pipe of its own by now.
    """
    try:
        told = Path(f"/proc/{process}/fdinfo/{descriptor}").read_text()
    except OSError:
        return False
    flags = int(dict(line.split(":", 1) for line in told.splitlines() if ":" in line).get("flags", "0"), 8)
    return not flags & os.O_CLOEXEC and flags & os.O_ACCMODE in (access, os.O_RDWR)
