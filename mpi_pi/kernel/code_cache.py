"""Where compiled code is kept between runs: per user, on this node, out of everyone else's reach.

A cache of machine code is executable code: whoever can write to it can run things in the name of whoever
reads it. So a folder is used only if no other user but root could have put anything there.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

VARIABLE = "MPI_PI_CACHE"
"""Environment variable that places the cache."""

PATIENCE_SECONDS = 60.0
"""How long a process waits for another one that compiles. That takes a Raspberry Pi up to a minute; but the
other one may also have been stopped, for ever."""

TELL_SECONDS = 5.0
"""After which it says what it is waiting for."""

ELSEWHERE = "name a folder of yours with --cache DIR"

_MAX_LINKS = 40
"""Symbolic links that a path may lead through."""


class CacheError(Exception):
    """A cache folder that cannot or must not be used; says why."""


class CacheBusy(CacheError):
    """A lock that cannot be had: what was made was made, and stored, without it."""


def default_folder() -> Path:
    """The user's cache: where the variable says, otherwise on the node's own disk.

    Not in the home folder, which on a cluster is one for all nodes.
    """
    return Path(os.environ.get(VARIABLE) or f"/var/tmp/mpi-pi-{os.geteuid()}")


def fetch(
    folder: Path,
    key: str,
    make: Callable[[], bytes],
    tell: Callable[[str], object] = lambda _: None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> tuple[bytes, bool]:
    """What is stored under a key, made and stored if it is not there yet; and whether it was there.

    Of the processes of a node that find nothing only one makes it, while the others sleep until it is done,
    or dead, or has taken too long; after a while they `tell` the user. Raises CacheError, perhaps after
    `make` has done its work.
    """
    folder = opened(folder)
    stored = read(folder, key)
    if stored is not None:
        return stored, True
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_locked(folder / "lock", tell, patience_seconds))
        except CacheBusy:
            write(folder, key, make())  # so that nobody has to wait again
            raise
        stored = read(folder, key)
        if stored is not None:
            return stored, True
        made = make()
        write(folder, key, made)
        return made, False


def opened(folder: Path) -> Path:
    """The folder, made if it is missing, with all links resolved.

    Raises CacheError if it cannot be made or written, or if another user could have written to it.
    """
    with _unusable_for_os_errors(folder):
        place, unknown = Path("/"), _unknown_owner()
        if unknown == os.geteuid():
            raise CacheError(f"{folder}: this process is nobody that its user namespace knows")
        _refuse_if_others_can_write(place, place.lstat(), unknown)
        parts, links = list(folder.absolute().parts[1:]), 0
        while parts:
            part = parts.pop(0)
            if part == "..":
                place = place.parent
                continue
            facts = _made_if_missing(place / part)
            if stat.S_ISLNK(facts.st_mode):
                _refuse_link_of_others(place, part, facts)
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = (place / part).readlink()
                place = Path("/") if target.is_absolute() else place
                parts[:0] = target.parts[target.is_absolute() :]
                continue
            place /= part
            if not stat.S_ISDIR(facts.st_mode):
                raise CacheError(f"{place} is not a directory: {ELSEWHERE}")
            _refuse_if_others_can_write(place, facts, unknown if parts else None)
        if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
            raise CacheError(f"{place} is not writable: {ELSEWHERE}")
    return place


def _made_if_missing(place: Path) -> os.stat_result:
    """Of a folder, or of whatever is in its place."""
    with contextlib.suppress(FileNotFoundError):
        return place.lstat()
    place.mkdir(mode=0o700, exist_ok=True)
    return place.lstat()


def read(folder: Path, key: str) -> bytes | None:
    """What is stored under a key; None if there is nothing, or nothing whole. Raises CacheError."""
    place = _file(folder, key)
    try:
        with open(os.open(place, _GUARDED | os.O_RDONLY), "rb") as file:  # noqa: PTH123  # a descriptor
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return None
            _refuse_if_others_can_write(place, facts)
            checksum, _, content = file.read().partition(b"\n")
    except OSError:
        return None
    return content if checksum == _checksum(content) else None


def write(folder: Path, key: str, content: bytes) -> None:
    """Store something under a key, whole or not at all. Raises CacheError."""
    file = _file(folder, key)
    aside = file.with_suffix(f".{os.getpid()}.part")
    with _unusable_for_os_errors(folder):
        aside.unlink(missing_ok=True)  # what a process of our number may have left
        try:
            descriptor = os.open(aside, _GUARDED | os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as stream:  # noqa: PTH123
                stream.write(_checksum(content) + b"\n" + content)
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)


_GUARDED = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How files are opened: whatever is in their place, no link is followed, and no pipe waited for."""


@contextlib.contextmanager
def _locked(place: Path, tell: Callable[[str], object], patience_seconds: float) -> Iterator[None]:
    """Hold the lock file `place`. Raises CacheBusy."""
    try:
        # Nothing is ever written to it, so that nothing is lost should it be another file.
        lock = os.open(place, _GUARDED | os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        why = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise CacheBusy(f"{place} {why}: remove it") from error
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            raise CacheBusy(f"{place} is no file: remove it")
        _wait_for(lock, place, tell, patience_seconds)
        yield
    finally:
        os.close(lock)


def _wait_for(lock: int, place: Path, tell: Callable[[str], object], patience_seconds: float) -> None:
    start, told = time.monotonic(), False
    while not _is_ours(lock, place):
        waited = time.monotonic() - start
        if waited > patience_seconds:
            raise CacheBusy(
                f"another process has had {place} for {patience_seconds:.0f} s: end it if it hangs"
            )
        if waited > TELL_SECONDS and not told:
            tell(f"waiting for another process that compiles the kernel; it has {place}")
            told = True
        time.sleep(0.02)


def _is_ours(lock: int, place: Path) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise CacheBusy(f"{place}: {error.strerror}") from error
    return True


@contextlib.contextmanager
def _unusable_for_os_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheError(f"{folder}: {error.strerror}: {ELSEWHERE}") from error


def _file(folder: Path, key: str) -> Path:
    return folder / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.kernel"


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _refuse_if_others_can_write(place: Path, facts: os.stat_result, unknown: int | None = None) -> None:
    """What leads to machine code must be ours or root's, and closed to others.

    But for sticky folders such as /tmp, where others may add things of their own and not touch ours. What is
    above our own folder may also belong to `unknown`, see `_unknown_owner`.
    """
    # There is no way around the root.
    remedy = "no folder will do" if place == Path("/") else ELSEWHERE
    if facts.st_uid not in (0, os.geteuid(), unknown):
        raise CacheError(f"{place} belongs to another user (uid {facts.st_uid}): {remedy}")
    open_to_others = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if open_to_others and not (stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX):
        raise CacheError(f"{place} can be written by other users: {remedy}")


def _refuse_link_of_others(folder: Path, name: str, facts: os.stat_result) -> None:
    """A link must be ours or root's; or that of whoever owns a folder that nobody else writes to."""
    above = folder.lstat()
    closed = not above.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if facts.st_uid not in (0, os.geteuid()) and not (closed and facts.st_uid == above.st_uid):
        raise CacheError(
            f"{folder / name} is a symbolic link of another user (uid {facts.st_uid}): {ELSEWHERE}"
        )


def _unknown_owner(proc: Path = Path("/proc")) -> int | None:
    """The user to whom all belongs whose owner has no number in this user namespace; None if all have one.

    In a container of one user that is root's, too: `/` and `/var` then are no more dangerous than elsewhere.
    Whoever it is may move our folder away, but not make another one that belongs to us.
    """
    try:
        unknown = int((proc / "sys/kernel/overflowuid").read_bytes())
        spans = [tuple(map(int, line.split())) for line in (proc / "self/uid_map").read_bytes().splitlines()]
    except (OSError, ValueError):
        return None
    known = any(first <= unknown < first + number for first, _, number in spans)
    return None if known else unknown
