"""A lock between runs that may be on different machines, and that a dead owner does not hold for ever.

The lock is a file, made in a way that only one of several can (O_EXCL, which NFS keeps to), so that nothing
depends on a lock manager. It says which process owns it, and as long as that lives it counts on in the file
every five seconds. Whoever finds the file
- gives way if the owner is a process of this machine that is alive, or if the file changes before their eyes;
- takes over if the owner is a process of this machine that is dead, or if the file has not changed for
  20 seconds. (Changes are looked for, not dates compared, so clocks may differ.)
An owner that stood still for so long, say a suspended one, finds out and gives up. Until then two may be at
work at once: the lock saves work, and nothing that it guards may become wrong without it.
"""

import contextlib
import json
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from mpi_pi.storage.atomic_file import beside
from mpi_pi.system import process
from mpi_pi.system.read_file import user_file

BEAT_SECONDS = 5.0
MAX_BYTES = 1 << 16
"""Of a lock file. What is longer is none."""
PATIENCE_SECONDS = 20.0
SETTLE_SECONDS = 0.5
"""After taking over a lock: of several who do so at once the last one has it."""


class LockHeld(Exception):
    """Somebody else has the lock; says who."""


class Lock:
    """The lock file `path`. All methods but `release` raise OSError for what the file system refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = False
        """Whether somebody has taken over the lock that was ours."""
        self._me = {"owner": secrets.token_hex(8), "host": os.uname().nodename, **_process()}
        self._file = -1
        self._beats = 0
        self._over = threading.Event()
        self._writing = threading.Lock()

    def acquire(self) -> None:
        """Have it, after up to 20 seconds, or raise Held."""
        while not self._created():
            theirs = self._content()
            if theirs is None:
                continue  # released a moment ago
            if self._owner_lives(theirs):
                raise LockHeld(f"in use by {_in_words(theirs)}")
            if self._content() == theirs:
                self._take_over()
                break
        threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        """Leave it to others."""
        self._over.set()
        with self._writing, contextlib.suppress(OSError):
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
                if self._is_ours():
                    self.path.unlink()

    def _created(self) -> bool:
        try:
            self._make(self.path)
        except FileExistsError:
            return False
        return True

    def _take_over(self) -> None:
        aside = beside(self.path, f".{self._me['owner']}")
        self._make(aside)
        aside.replace(self.path)
        time.sleep(SETTLE_SECONDS)
        if not self._is_ours():
            raise LockHeld(f"in use by {_in_words(self._content() or b'')}")

    def _make(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            self._write()
        except OSError:
            path.unlink()
            raise

    def _write(self) -> None:
        # To the file that is open, not to whatever has its name by now. Always of the same length.
        os.pwrite(self._file, json.dumps(self._me | {"beats": f"{self._beats:012}"}).encode(), 0)
        os.fsync(self._file)

    def _content(self) -> bytes | None:
        """What the file says, None if there is none. To open it anew makes NFS look at the server's."""
        try:
            return user_file(self.path, MAX_BYTES)
        except FileNotFoundError:
            return None

    def _is_ours(self) -> bool:
        return bool(_facts(self._content() or b"").get("owner") == self._me["owner"])

    def _owner_lives(self, content: bytes) -> bool:
        theirs = _facts(content)
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
        while not self._over.wait(BEAT_SECONDS):
            # A file system that is gone for a while is no reason to give up.
            with self._writing, contextlib.suppress(OSError):
                if self._over.is_set():
                    return
                content = self._content()
                if content is not None and _facts(content).get("owner") != self._me["owner"]:
                    self.lost = True
                    return
                self._beats += 1
                self._write()


def _process() -> dict[str, Any]:
    """Which process we are, so that others on the same machine can tell whether it lives."""
    return {"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def _machine() -> str:
    """Where process numbers mean the same: one boot of one machine, and one namespace of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().decode(errors="replace").strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: Any) -> int | None:
    """When a process was started, in clock ticks since boot; None if there is no such process (any more)."""
    fields = process.process_fields(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def _lives(pid: Any, started: Any) -> bool:
    """Whether the process that had this number when it was started at that time is still there."""
    if type(pid) is not int or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # another user's, of which we may not see more
    except OSError:
        return False
    return bool(_started(pid) == started)


def _facts(content: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        facts = None
    return facts if isinstance(facts, dict) else {}


def _in_words(content: bytes) -> str:
    facts = _facts(content)
    return f"process {facts.get('pid', '?')} on host {facts.get('host', '?')}"
