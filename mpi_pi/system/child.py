"""A process forked from this one, whose work is given up if it hangs, even where no signal can end it."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

POLL_SECONDS = 0.01
_MAX_BYTES = 1 << 16

Tell = Callable[[str], None]
"""Tells the parent process what the child is at, in a line."""


class Child:
    """A child process that calls `work`, and ends with the status that `work` returns.

    It has a process group of its own, so that programs that it starts end with it. It is ended by the system
    if it still runs `seconds` from now, also when this process has ended.
    """

    def __init__(self, work: Callable[[Tell], int], seconds: float) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # or both processes would write what it holds
        self._told = ""
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._pid = os.fork()
        if not self._pid:
            _work(work, writing, seconds)
        os.close(writing)

    def status_by(self, deadline: float) -> int | None:
        """Wait until `deadline`, in seconds of time.monotonic; return None if the child still runs then.

        Otherwise return its exit status, or the negative number of the signal that has ended it.
        """
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._pid = 0
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_SECONDS)

    def told(self) -> str:
        """Return the last line that the child has told; "" if there is none."""
        with contextlib.suppress(BlockingIOError):
            self._told += os.read(self._reading, _MAX_BYTES).decode()
        return (self._told.splitlines() or [""])[-1]

    def give_up(self) -> None:
        """Kill the child, if it still runs, and do not wait for it: in a hung file system it may not end."""
        if self._pid:
            for kill in (os.killpg, os.kill):  # it may have no group yet
                with contextlib.suppress(OSError):
                    kill(self._pid, signal.SIGKILL)


def _work(work: Callable[[Tell], int], writing: int, seconds: float) -> NoReturn:
    """Be the child."""
    status = os.EX_SOFTWARE
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        status = work(lambda line: _tell(writing, line))
    finally:
        os._exit(status)  # whatever happens, the child must not go on with what its parent was about to do


def _tell(writing: int, line: str) -> None:
    os.write(writing, f"{line}\n".encode())
