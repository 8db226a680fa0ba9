"""A process forked from this one, whose work is given up if it hangs, even where no signal can end it."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

POLL_SECONDS = 0.01
_CHUNK = 1 << 16

Tell = Callable[[str], None]
"""Tells the parent process what the child is at, in a line."""


class Child:
    """A child process that calls `work`, and ends with the status that `work` returns.

    What it writes to standard output and standard error comes here: a reader of those of this process would
    otherwise wait for a child that hangs. It has a process group of its own, so that programs that it starts
    end with it. The system ends it if it still runs `seconds` from now, also when this process has ended.
    """

    def __init__(self, work: Callable[[Tell], int], seconds: float) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # or both processes would write what it holds
        pipes = [os.pipe() for _ in range(3)]
        self._reading = [reading for reading, _ in pipes]
        self.output = b""
        """What it has written to standard output by the end of `status_by`."""
        self.errors = b""
        """What it has written to standard error by then."""
        self._told = b""
        self._pid = os.fork()
        if not self._pid:
            _work(work, [writing for _, writing in pipes], seconds)
        for reading, writing in pipes:
            os.set_blocking(reading, False)
            os.close(writing)

    def status_by(self, deadline: float) -> int | None:
        """Wait until `deadline`, in seconds of time.monotonic; return None if the child still runs then.

        Otherwise return its exit status, or the negative number of the signal that has ended it.
        """
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._receive()
            if pid:
                self._pid = 0
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_SECONDS)

    @property
    def told(self) -> str:
        """The last line that it has told by then; "" if there is none."""
        return (self._told.decode().splitlines() or [""])[-1]

    def give_up(self) -> None:
        """Kill the child, if it still runs, and do not wait for it: in a hung file system it may not end."""
        if self._pid:
            for kill in (os.killpg, os.kill):  # it may have no group yet
                with contextlib.suppress(OSError):
                    kill(self._pid, signal.SIGKILL)

    def _receive(self) -> None:
        received = [_available(reading) for reading in self._reading]
        self.output, self.errors, self._told = (
            before + more
            for before, more in zip((self.output, self.errors, self._told), received, strict=True)
        )


def _available(reading: int) -> bytes:
    """Return what can be read from a pipe now."""
    content = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(reading, _CHUNK):
            content += chunk
    return content


def _work(work: Callable[[Tell], int], writing: Sequence[int], seconds: float) -> NoReturn:
    """Be the child, which writes its output, errors and what it tells to these pipes."""
    status = os.EX_SOFTWARE
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        os.dup2(writing[0], 1)
        os.dup2(writing[1], 2)
        status = work(lambda line: _tell(writing[2], line))
    finally:
        os._exit(status)  # whatever happens, the child must not go on with what its parent was about to do


def _tell(writing: int, line: str) -> None:
    os.write(writing, f"{line}\n".encode())
