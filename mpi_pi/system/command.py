"""Programs that are run for their output."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


ANSWER_SECONDS = 20
"""Time limit for an answer of the scheduler."""


class CommandError(Exception):
    """A command that cannot be started, has failed, or has taken too long."""


def run(
    command: Sequence[str],
    seconds: float,
    check: bool = True,
    environ: Mapping[str, str] | None = None,
    pass_fds: Collection[int] = (),
) -> "subprocess.CompletedProcess[str]":
    """Run a command without standard input, and return its exit status and its output.

    `environ` is added to the environment. Bytes that are not UTF-8 are replaced. Raises CommandError if the
    command cannot be started or takes longer than `seconds`, and with `check` if its status is not 0.
    """
    import subprocess  # most runs start no program

    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=check,
            env=os.environ | (environ or {}),
            pass_fds=tuple(pass_fds),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CommandError(str(error)) from error


def answer(command: Sequence[str], what: str) -> str:
    """Return the standard output of a command of the scheduler.

    Raises ValueError, with a message that it does not tell `what`, if it fails three times.
    """
    import time  # only for this

    for pause in (1, 3, None):  # a busy server may fail to answer
        try:
            return run(command, ANSWER_SECONDS).stdout
        except CommandError as error:
            if pause is None:
                raise ValueError(f"{command[0]} does not tell {what}: {error}") from error
            time.sleep(pause)
    raise AssertionError  # the last attempt returns or raises


def output(command: Sequence[str], seconds: float, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the standard output of a command, or None where `run` would raise."""
    try:
        return run(command, seconds, environ=environ).stdout
    except CommandError:
        return None


def telling_line(text: str, beginning: str = "") -> str:
    """Return the line of error output that tells most, "" if there is none.

    It is the last one with that beginning, or else the last one with words.
    """
    lines = [line.strip() for line in text.splitlines() if re.search(r"[^\s-]", line)]
    return next((line for line in reversed(lines) if line.startswith(beginning)), (lines or [""])[-1])
