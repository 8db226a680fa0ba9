"""Signals that end a run in good order."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

_OF_THE_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Notes signals, and does nothing else with them.

    SIGUSR1 and SIGUSR2 from the beginning, since it is batch systems that send them, at any time; SIGINT,
    SIGTERM and SIGHUP, of a terminal that was closed, while there is something to tell, and a second one has
    its usual effect. But for SIGHUP, which both the terminal and its shell send, and which nohup has ignored.
    """

    def __init__(self) -> None:
        self.number = 0
        """The last signal noted."""
        self.impatient = False
        """Whether there was one after which mpirun, too, is about to end."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._note)

    @contextlib.contextmanager
    def all_noted(self) -> Iterator[None]:
        """Meanwhile, SIGINT, SIGTERM and SIGHUP are noted too."""
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        numbers = [number for number in _OF_THE_END if number != signal.SIGHUP or not ignored]
        before = [signal.signal(number, self._note) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def repeat(self) -> None:
        """Give SIGINT or SIGTERM, if one has been noted, its usual effect now."""
        if self.impatient:
            number, self.number, self.impatient = self.number, 0, False
            os.kill(os.getpid(), number)

    def over(self) -> None:
        """Listen no more: while Python and MPI end, signals would again have their usual effect."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, _frame: Any) -> None:
        self.number = number
        if number in _OF_THE_END:
            self.impatient = True
            signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
