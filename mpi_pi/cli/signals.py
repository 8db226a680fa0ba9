"""Signals that end a run in good order."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

from mpi_pi.mpi.stop import StopRequest

TERMINATING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Signal handlers that make a stop request, and do nothing else.

    SIGUSR1 and SIGUSR2 are handled from the beginning, since batch systems send them at any time; SIGINT,
    SIGTERM and SIGHUP (of a terminal that was closed) within `all_handled`, and there a second one has its
    usual effect. But for SIGHUP, which both the terminal and its shell send, and which nohup has ignored.
    """

    def __init__(self, stop: StopRequest) -> None:
        self.stop = stop
        self.launcher_ends = False
        """Whether there was a signal after which mpirun is about to end, too."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._request_stop)

    @contextlib.contextmanager
    def all_handled(self) -> Iterator[None]:
        """Handle SIGINT, SIGTERM and SIGHUP, too, within a with statement."""
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        numbers = [number for number in TERMINATING if number != signal.SIGHUP or not ignored]
        before = [signal.signal(number, self._request_stop) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def repeat(self) -> None:
        """Give SIGINT, SIGTERM or SIGHUP, if one was handled, its usual effect now."""
        if self.launcher_ends:
            number, self.stop.reason, self.launcher_ends = self.stop.reason, 0, False
            os.kill(os.getpid(), number)

    def ignore(self) -> None:
        """Ignore SIGUSR1 and SIGUSR2, which would end the process while Python and MPI end."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def _request_stop(self, number: int, _frame: Any) -> None:
        self.stop.request(number)
        if number in TERMINATING:
            self.launcher_ends = True
            signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
