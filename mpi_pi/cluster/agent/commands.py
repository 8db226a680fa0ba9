"""Programs that are run on a host, and ended when the client is gone."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from typing import Any

_watched: list[Any] = []


class AgentError(Exception):
    """An action that is not possible on this host; the text gives the reason and a remedy."""


def watch_client() -> None:
    """Let `run` end its command as soon as standard input is readable.

    The client sends no request before it has the answer to the last one, so the input has then ended.
    """
    _watched.append(sys.stdin)


def run(command: list[str], failure: str, seconds: float, environ: Any = None) -> str:
    """Run a command, and return what it prints to both of its streams.

    Raises AgentError, whose text begins with `failure`, if the command cannot be started, fails or takes
    longer than `seconds`; also raises it if the client is gone.
    """
    end = time.monotonic() + seconds
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ
        )
    except OSError as error:
        raise AgentError(f"{failure}: {command[0]}: {error.strerror}") from error
    output = b""
    with child:
        assert child.stdout is not None  # noqa: S101  # for mypy
        while True:
            ready = select.select([child.stdout, *_watched], [], [], max(0.0, end - time.monotonic()))[0]
            if child.stdout not in ready:
                child.kill()
                late = f"{failure}: not done after {seconds:.0f} s"
                raise AgentError("the client is gone" if ready else late)
            part = os.read(child.stdout.fileno(), 1 << 16)
            output += part
            if not part:
                break
    text = output.decode(errors="replace")
    if child.returncode:
        raise AgentError(f"{failure}: {_telling_line(text) or f'status {child.returncode}'}")
    return text


def _telling_line(text: str) -> str:
    """Return the last line with the word error, or else the last line; "" if there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
    return (errors or lines or [""])[-1]
