"""Where compiled code is kept between runs: per user, on this node, out of everyone else's reach.

A cache of machine code is executable code: whoever can write to it can run things in the name of whoever
reads it. So a folder is used only if no other user but root could have put anything there.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
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


def fetch(folder: Path, key: str, make: Callable[[], bytes]) -> tuple[bytes, bool]:
    """What is stored under a key, made and stored if it is not there yet; and whether it was there.

    Of the processes of a node that find nothing only one makes it, while the others sleep until it is done,
    or dead. Raises Unusable, perhaps after `make` has done its work.
    """
    folder = opened(folder)
    stored = read(folder, key)
    if stored is not None:
        return stored, True
    with contextlib.ExitStack() as held:
        with _unusable_for_os_errors(folder):
            lock = held.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        stored = read(folder, key)
        if stored is not None:
            return stored, True
        made = make()
        write(folder, key, made)
        return made, False


def opened(folder: Path) -> Path:
    """The folder, made if it is missing, with all links resolved.

    Raises Unusable if it cannot be made or written, or if another user could have written to it.
    """
    with _unusable_for_os_errors(folder):
        for place in reversed([folder, *folder.parents]):
            if not place.exists():
                place.mkdir(mode=0o700, exist_ok=True)
        folder = folder.resolve(strict=True)
        if not folder.is_dir():
            raise Unusable(f"{folder} is not a directory")
        for place in (folder, *folder.parents):
            _refuse_if_others_can_write(place, place.stat())
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise Unusable(f"{folder} is not writable")
    return folder


def read(folder: Path, key: str) -> bytes | None:
    """What is stored under a key; None if there is nothing, or nothing whole. Raises Unusable."""
    try:
        with _file(folder, key).open("rb") as file:
            _refuse_if_others_can_write(_file(folder, key), os.fstat(file.fileno()))
            checksum, _, content = file.read().partition(b"\n")
    except OSError:
        return None
    return content if checksum == _checksum(content) else None


def write(folder: Path, key: str, content: bytes) -> None:
    """Store something under a key, whole or not at all. Raises Unusable."""
    file = _file(folder, key)
    aside = file.with_suffix(f".{os.getpid()}.part")
    with _unusable_for_os_errors(folder):
        try:
            aside.touch(mode=0o600)
            aside.write_bytes(_checksum(content) + b"\n" + content)
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)


@contextlib.contextmanager
def _unusable_for_os_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror}") from error


def _file(folder: Path, key: str) -> Path:
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.kernel"


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _refuse_if_others_can_write(place: Path, facts: os.stat_result) -> None:
    """What leads to machine code must be ours or root's, and closed to others.

    But for sticky folders such as /tmp, where others may add things of their own and not touch ours.
    """
    if facts.st_uid not in (0, os.geteuid()):
        raise Unusable(f"{place} belongs to another user (uid {facts.st_uid})")
    open_to_others = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if open_to_others and not (stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX):
        raise Unusable(f"{place} can be written by other users")
