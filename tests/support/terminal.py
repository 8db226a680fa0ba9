"""A command on a pseudo-terminal, with keys that are pressed."""

import os
import pty
import select
import signal
import termios
import time

import pytest


def on_a_terminal(
    command: list[str], environment: dict[str, str], keys: bytes = b"", after: str = "", columns: int = 80
) -> str:
    """Return all that a command shows on a terminal; `keys` are pressed once `after` has been seen."""
    child, terminal = pty.fork()
    if child == 0:
        termios.tcsetwinsize(0, (24, columns))
        os.execvpe(command[0], command, environment | {"TERM": "xterm"})  # noqa: S606  # no shell is wanted
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 1)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
        if keys and after in shown.decode(errors="replace"):
            os.write(terminal, keys)
            keys = b""
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail(f"no end within a minute: {shown!r}")
    os.waitpid(child, 0)
    return shown.decode(errors="replace")
