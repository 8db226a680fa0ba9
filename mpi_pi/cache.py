"""Where compiled code is kept between runs: per user, on this node, out of everyone else's reach.

A cache of machine code is executable code: whoever can write to it can run things in the name of whoever
reads it. So a folder is used only if no other user but root could have put anything there.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "MPI_PI_CACHE"
"""Environment variable that places the cache."""


class Unusable(Exception):
    """A cache folder that cannot or must not be used; says why."""


def default_folder() -> Path:
    """The user's cache: where the variable says, otherwise on the node's own disk.

    Not in the home folder, which on a cluster is one for all nodes.
    """
    return Path(os.environ.get(VARIABLE) or f"/var/tmp/mpi-pi-{os.geteuid()}")


def opened(folder: Path) -> Path:
    """The folder, made if it is missing, with all links resolved.

    Raises Unusable if it cannot be written, or if another user could have written to it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve(strict=True)
        _refuse_if_others_can_write(folder)
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror}") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise Unusable(f"{folder} is not writable")
    return folder


def read(folder: Path, key: str) -> bytes | None:
    """What is stored under a key; None if there is nothing, or nothing whole."""
    try:
        checksum, _, content = _file(folder, key).read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if checksum == _checksum(content) else None


def write(folder: Path, key: str, content: bytes) -> None:
    """Store something under a key, whole or not at all. Raises OSError."""
    file = _file(folder, key)
    aside = file.with_suffix(f".{os.getpid()}.part")
    try:
        aside.write_bytes(_checksum(content) + b"\n" + content)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let in one process of this node; the others sleep until it is done or dead. Raises OSError."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _file(folder: Path, key: str) -> Path:
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.kernel"


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _refuse_if_others_can_write(folder: Path) -> None:
    """The folder itself must be ours alone; those above it ours or root's, and closed to others or sticky.

    In a sticky folder (/tmp) others may add things of their own, but not touch ours.
    """
    if folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Unusable(f"{folder} is open to other users (chmod 700 closes it)")
    for thing in (folder, *folder.parents, *folder.iterdir()):
        facts = thing.lstat()
        if facts.st_uid not in (0, os.geteuid()):
            raise Unusable(f"{thing} belongs to another user (uid {facts.st_uid})")
        open_to_others = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if stat.S_ISDIR(facts.st_mode) and open_to_others and not facts.st_mode & stat.S_ISVTX:
            raise Unusable(f"{thing} can be written by other users")
