"""A fence around a process that stood still: ranks that survive the loss of others may have given it up.

If it called MPI again, it would take the others for lost, and perhaps report them as such. Functions that
wait for MPI call `check` before each call of MPI.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

INTERVAL_SECONDS = 0.2
"""Interval of the checks during a call of MPI that may take long."""

_limit_seconds = float("inf")
_end: Callable[[str], object] = print
_checked_at = float("inf")


def put_up(limit_seconds: float, end: Callable[[str], object]) -> None:
    """Let `check` call `end`, which has to end this process, after a pause of so many seconds."""
    global _limit_seconds, _end, _checked_at
    _checked_at, _end, _limit_seconds = time.monotonic(), end, limit_seconds


def check() -> None:
    """End this process if no thread of it has called this function for too long."""
    global _checked_at
    now = time.monotonic()
    pause = now - _checked_at
    if pause > _limit_seconds:
        _end(f"stood still for {pause:.0f} s, and the other ranks have gone on without it")
    _checked_at = now


@contextlib.contextmanager
def kept_up() -> Iterator[None]:
    """Check before, during and after the body of the with statement, which may take long in itself."""
    check()
    over = threading.Event()
    thread = threading.Thread(target=_check_until, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    check()


def _check_until(over: threading.Event) -> None:
    while not over.wait(INTERVAL_SECONDS):
        check()
