"""A lock between runs, possibly on different machines, that a dead owner does not hold for ever.

The lock is a file created with O_EXCL, which is atomic on NFS, too, so no lock manager is needed. It names
its owner, who increments a counter in it every `BEAT_SECONDS`. Another run gives way if the owner is a living
process of this machine, or if the content changes while the run watches it. It takes over if the owner is a
dead process of this machine, or if the content has not changed for `PATIENCE_SECONDS`, and at once from
another rank of its own job, which has been lost. (Content is compared and not times, so clocks may differ.)
An owner that was suspended for so long notices its loss, and gives up. Until then two runs may be at work:
the lock saves work, and the data that it guards must be right without it.
"""

import contextlib
import json
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from mpi_pi.errors import BusyError
from mpi_pi.storage.atomic_file import beside
from mpi_pi.system import launch_env
from mpi_pi.system.process import boot_id, process_fields
from mpi_pi.system.read_file import read_user_file

BEAT_SECONDS = 5.0
PATIENCE_SECONDS = 20.0
SETTLE_SECONDS = 0.5
"""Pause after taking over: of several runs that do so at once, the last one has the lock."""
MAX_BYTES = 1 << 16
"""Maximum size of a lock file."""


class LockHeld(BusyError):
    """A lock that another run has; the message names it."""


class Lock:
    """The lock file `path`. All methods but `release` raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = False
        """True once another run has taken over the lock while it was ours."""
        self._me = {
            "owner": secrets.token_hex(8),
            "host": os.uname().nodename,
            "machine": this_machine(),
            "pid": os.getpid(),
            "started": _start_time(os.getpid()),
            "job": launch_env.job(),
        }
        self._file = -1
        self._beats = 0
        self._released = threading.Event()
        self._writing = threading.Lock()

    def acquire(self) -> None:
        """Acquire the lock, within about `PATIENCE_SECONDS`, or raise LockHeld."""
        while True:
            try:
                self._create(self.path)
                break
            except FileExistsError:
                theirs = self._content()
            if theirs is None:
                continue  # released a moment ago
            if self._owner_lives(theirs):
                raise LockHeld(f"in use by {_owner(theirs)}")
            if self._content() == theirs:
                self._take_over()
                break
        threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        """Remove the lock file if it is ours."""
        self._released.set()
        with self._writing, contextlib.suppress(OSError):
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
                if self._is_ours():
                    self.path.unlink()

    def _take_over(self) -> None:
        aside = beside(self.path, f".{self._me['owner']}")
        self._create(aside)
        aside.replace(self.path)
        time.sleep(SETTLE_SECONDS)
        if not self._is_ours():
            raise LockHeld(f"in use by {_owner(self._content())}")

    def _create(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            self._write()
        except OSError:
            path.unlink()
            raise

    def _write(self) -> None:
        """Write into our own file, even if another one has replaced it by now. The length never changes."""
        os.pwrite(self._file, json.dumps(self._me | {"beats": f"{self._beats:012}"}).encode(), 0)
        os.fsync(self._file)

    def _content(self) -> bytes | None:
        """Return the content of the lock file; None if there is none. Opening it makes NFS ask the server."""
        try:
            return read_user_file(self.path, MAX_BYTES)
        except FileNotFoundError:
            return None

    def _is_ours(self) -> bool:
        return bool(_facts(self._content()).get("owner") == self._me["owner"])

    def _owner_lives(self, content: bytes) -> bool:
        theirs = _facts(content)
        if theirs.get("job") == self._me["job"] != "":
            return False  # the rank 0 before this one
        if theirs.get("machine") == self._me["machine"] != "":
            return _lives(theirs.get("pid"), theirs.get("started"))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.2)
            now = self._content()
            if now != content:
                return now is not None
        return False

    def _beat(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            # A file system that is gone for a while is no reason to give up.
            with self._writing, contextlib.suppress(OSError):
                if self._released.is_set():
                    return
                content = self._content()
                if content is not None and _facts(content).get("owner") != self._me["owner"]:
                    self.lost = True
                    return
                self._beats += 1
                self._write()


def this_machine() -> str:
    """Return an identifier of this boot of the machine and of the PID namespace; "" if it is unknown."""
    boot = boot_id()
    try:
        return boot and f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _start_time(pid: object) -> int | None:
    """Return when a process was started, in clock ticks since boot; None if there is none, or a zombie."""
    fields = process_fields(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def _lives(pid: Any, started: Any) -> bool:
    """Return whether a process with this number and start time exists."""
    if type(pid) is not int or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # another user's, whose start time may be hidden
    except OSError:
        return False
    return bool(_start_time(pid) == started)


def _facts(content: bytes | None) -> dict[str, Any]:
    try:
        facts = json.loads(content or b"")
    except (ValueError, RecursionError):
        facts = None
    return facts if isinstance(facts, dict) else {}


def _owner(content: bytes | None) -> str:
    facts = _facts(content)
    return f"process {facts.get('pid', '?')} on host {facts.get('host', '?')}"
