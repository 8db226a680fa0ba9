"""Signals that become stop requests, so that a run ends in good order."""

import contextlib
import os
import signal
from typing import Any

from mpi_pi.mpi.stop import StopRequest
from mpi_pi.system.process import TERMINATING, handled


class Signals:
    """Signal handlers that only make a stop request.

    SIGUSR1 and SIGUSR2 are handled from the beginning, since batch systems send them at any time; SIGINT,
    SIGTERM and SIGHUP (from a closed terminal) are handled within `all_handled`. There a second SIGINT or
    SIGTERM has its default effect; a second SIGHUP has none, since both the terminal and its shell send one.
    """

    def __init__(self, stop: StopRequest) -> None:
        self.stop = stop
        self.launcher_ends = False
        """True after a signal that ends mpirun, too."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._request_stop)

    def all_handled(self) -> contextlib.AbstractContextManager[None]:
        """Handle SIGINT, SIGTERM and SIGHUP, too, within a with statement."""
        return handled(TERMINATING, self._request_stop)

    def repeat(self) -> None:
        """Send SIGINT, SIGTERM or SIGHUP again, if one was handled, for its default effect."""
        if self.launcher_ends:
            number, self.stop.reason, self.launcher_ends = self.stop.reason, 0, False
            os.kill(os.getpid(), number)

    def ignore(self) -> None:
        """Ignore SIGUSR1 and SIGUSR2, which would kill the process while Python and MPI end."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def _request_stop(self, number: int, _frame: Any) -> None:
        self.stop.request(number)
        if number in TERMINATING:
            self.launcher_ends = True
            signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
