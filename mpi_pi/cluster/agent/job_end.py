"""End of what an MPI job has left on a host: its processes, shared memory and temporary folders."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

DAEMONS = ("prted", "orted", "hydra_pmi_proxy")
"""Programs that a launcher starts on each host, and that start the ranks."""

KILL_SECONDS = 5.0
"""Time for killed processes to be gone."""

_SHARED_MEMORY = r"/dev/shm/(?:mpich_shm_|sm_segment\.|vader_segment\.)[^/\n]+"
_FOLDER = r"/[^\n]*?/(?:(?:prted|ompi)\.\d+|ompi\.[^/\n]+/(?:jf|pid)\.\d+)(?=/|\Z)"
LEFTOVERS = re.compile(f"{_SHARED_MEMORY}|{_FOLDER}")
"""Files for shared memory of ranks, and folders of a launcher or daemon; also in /proc/PID/maps."""


def end_job(marks: list[str], age: float) -> int:
    """Kill this user's processes of a job, remove what they leave, and return the number of processes.

    They are those with one of the marks in their command line, the daemons that have started them, and all
    of their descendants. What is no older than `age` seconds, and used by no process, was left by those that
    had ended before, and is removed, too.
    """
    killed: set[int] = set()
    left: set[str] = set()
    end = time.monotonic() + KILL_SECONDS
    while True:
        found = _processes_of_job(marks)
        for pid in found:
            left.update(LEFTOVERS.findall(_read(pid, "maps")))
        for pid in found:
            with contextlib.suppress(OSError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        killed.update(found)
        if not found or time.monotonic() > end:
            break
        time.sleep(0.05)
    for place in left | _unused(age):
        _remove(Path(place))
    return len(killed)


def _processes_of_job(marks: list[str]) -> set[int]:
    parents: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    marked = []
    for pid in _own_processes():
        fields = _read(pid, "stat").rpartition(")")[2].split()
        if fields and fields[0] not in "ZX":
            parents[pid] = int(fields[1])
            children.setdefault(parents[pid], []).append(pid)
            if any(mark in _read(pid, "cmdline").replace("\0", " ") for mark in marks):
                marked.append(pid)
    daemons = [parents[pid] for pid in marked if _read(parents[pid], "comm").strip() in DAEMONS]
    found: set[int] = set()
    new = [*marked, *daemons]
    while new:
        pid = new.pop()
        if pid not in found:
            found.add(pid)
            new += children.get(pid, [])
    return found - {os.getpid()}


def _own_processes() -> list[int]:
    """Return the processes of this user."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if place.stat().st_uid == os.getuid():
                found.append(int(place.name))
    return found


def _read(pid: int, name: str) -> str:
    """Return a file of a process in /proc, "" if it cannot be read."""
    try:
        return (Path("/proc") / str(pid) / name).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _unused(age: float) -> set[str]:
    """Return the leftovers of at most `age` seconds that no process of this user has mapped."""
    found = set()
    temporary = Path(tempfile.gettempdir())
    places = [*Path("/dev/shm").glob("*"), *temporary.glob("prted.*/"), *temporary.glob("ompi.*/jf.*/")]
    for place in places:
        with contextlib.suppress(OSError):
            # Within a second, a process that has made one has mapped it.
            new = 1 < time.time() - place.stat().st_ctime < age
            if new and LEFTOVERS.fullmatch(str(place)):
                found.add(str(place))
    for pid in _own_processes() if found else ():
        found.difference_update(LEFTOVERS.findall(_read(pid, "maps")))
    return found


def _remove(place: Path) -> None:
    """Remove this user's file or folder, and then Open MPI 4's folder of the user if it is empty."""
    with contextlib.suppress(OSError):
        if place.stat().st_uid == os.getuid() and place.is_dir():
            shutil.rmtree(str(place), ignore_errors=True)
            if place.parent.name.startswith("ompi."):
                place.parent.rmdir()
        elif place.stat().st_uid == os.getuid():
            place.unlink()
