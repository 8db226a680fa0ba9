"""Processes of programs that were started, while they run and after they should have ended."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path


def leftovers(mark: str) -> list[str]:
    """Return processes with the mark in their command line that outlive their job by a while."""
    for _ in range(50):
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has just ended
                found += [file.parent.name] if mark in file.read_text(errors="replace") else []
        if not found:
            return []
        time.sleep(0.1)
    return found


def begun(program: str, folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """Return the program, when it has begun all that it begins, and its temporary folder."""
    started = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert started.stdout
    place = Path(started.stdout.readline().strip())
    assert place.parent == folder
    return started, place


def processes(place: Path) -> dict[str, str]:
    """Return what runs with that temporary folder: command lines by process number."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if os.fsencode(place) in file.read_bytes():
                found[file.parent.name] = (file.parent / "cmdline").read_text()
        except OSError:  # somebody else's, or it has just ended
            continue
    return found
