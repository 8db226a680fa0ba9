"""Cache of compiled code between runs: one for each user and host, closed to other users.

Whoever can write to a cache of machine code can run programs in the name of whoever reads it. So a folder is
used only if no other user but root could have put anything there.
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

from mpi_pi.errors import UserError

VARIABLE = "MPI_PI_CACHE"
"""Environment variable with the folder of the cache."""

PATIENCE_SECONDS = 60.0
"""Limit of the wait for another process that compiles: a Raspberry Pi takes up to a minute, but the process
may also have been stopped for ever."""

NOTIFY_SECONDS = 5.0
"""Time after which a waiting process says what it waits for."""

ELSEWHERE = "name a folder of yours with --cache DIR"

_MAX_LINKS = 40  # symbolic links that a path may lead through
# Whatever is in place of a file, no link is followed and no pipe waited for.
_OPEN_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CacheError(UserError):
    """A cache folder that cannot or must not be used."""


class CacheBusy(CacheError):
    """A lock that another process holds, or that cannot be opened; the entry was written without it."""


def default_folder() -> Path:
    """Return the folder that the variable names, or else one on the host's own disk.

    The home folder will not do: on a cluster it is one for all hosts.
    """
    return Path(os.environ.get(VARIABLE) or f"/var/tmp/mpi-pi-{os.geteuid()}")


def fetch(
    folder: Path,
    key: str,
    make: Callable[[], bytes],
    notify: Callable[[str], object] = lambda _: None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> tuple[bytes, bool]:
    """Return the entry of a key, made and written if it is not there yet; and whether it was there.

    Of several processes on a host that find no entry only one makes it, while the others wait until it is
    done, or dead, or has taken too long; after a while `notify` is called with a message. Raises CacheError,
    perhaps after `make` has been called.
    """
    folder = prepare(folder)
    if (entry := read(folder, key)) is not None:
        return entry, True
    try:
        with _locked(folder / "lock", notify, patience_seconds):
            if (entry := read(folder, key)) is not None:
                return entry, True
            entry = make()
            write(folder, key, entry)
            return entry, False
    except CacheBusy:
        write(folder, key, make())  # so that nobody has to wait again
        raise


def prepare(folder: Path) -> Path:
    """Make the folder if it is missing; return it with all links resolved.

    Raises CacheError if it cannot be made or written, or if another user could have written to it.
    """
    with _os_errors_as_cache_errors(folder):
        unmapped = unmapped_owner()
        if unmapped == os.geteuid():
            raise CacheError(f"{folder}: this process is nobody that its user namespace knows")
        path, parts, links = Path("/"), ["/", *folder.absolute().parts[1:]], 0
        while parts:
            part = parts.pop(0)
            if part == "..":
                path = path.parent
                continue
            facts = _stat_or_make(path / part)
            if stat.S_ISLNK(facts.st_mode):
                _require_trusted_link(path, part, facts)
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                parts[:0] = (path / part).readlink().parts  # from the root on, if they begin there
                continue
            path /= part
            if not stat.S_ISDIR(facts.st_mode):
                raise CacheError(f"{path} is not a directory: {ELSEWHERE}")
            _require_closed(path, facts, unmapped if parts else None)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise CacheError(f"{path} is not writable: {ELSEWHERE}")
    return path


def _stat_or_make(path: Path) -> os.stat_result:
    """Return the status of whatever is at a path, which is a new folder if nothing was there."""
    with contextlib.suppress(FileNotFoundError):
        return path.lstat()
    path.mkdir(mode=0o700, exist_ok=True)
    return path.lstat()


def read(folder: Path, key: str) -> bytes | None:
    """Return the entry of a key; None if there is none, or it is not whole. Raises CacheError."""
    path = _entry_path(folder, key)
    try:
        with open(os.open(path, _OPEN_FLAGS | os.O_RDONLY), "rb") as file:  # noqa: PTH123  # a descriptor
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return None
            _require_closed(path, facts)
            checksum, _, content = file.read().partition(b"\n")
    except OSError:
        return None
    return content if checksum == _checksum(content) else None


def write(folder: Path, key: str, content: bytes) -> None:
    """Write the entry of a key, whole or not at all. Raises CacheError."""
    path = _entry_path(folder, key)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    with _os_errors_as_cache_errors(folder):
        temporary.unlink(missing_ok=True)  # a process of the same number may have left it
        try:
            descriptor = os.open(temporary, _OPEN_FLAGS | os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123
                file.write(_checksum(content) + b"\n" + content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path, notify: Callable[[str], object], patience_seconds: float) -> Iterator[None]:
    """Hold the lock file `path`. Raises CacheBusy."""
    try:
        # Nothing is ever written to it, so that nothing is lost should it be another file.
        lock = os.open(path, _OPEN_FLAGS | os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        why = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise CacheBusy(f"{path} {why}: remove it") from error
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            raise CacheBusy(f"{path} is no file: remove it")
        _wait_for(lock, path, notify, patience_seconds)
        yield
    finally:
        os.close(lock)


def _wait_for(lock: int, path: Path, notify: Callable[[str], object], patience_seconds: float) -> None:
    """Take the lock. Raises CacheBusy after `patience_seconds`."""
    start, notified = time.monotonic(), False
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - start
        except OSError as error:
            raise CacheBusy(f"{path}: {error.strerror}") from error
        if waited > patience_seconds:
            held = f"{path} for {patience_seconds:.0f} s"
            raise CacheBusy(f"another process has had {held}: end it if it hangs")
        if waited > NOTIFY_SECONDS and not notified:
            notify(f"waiting for another process that compiles the kernel; it has {path}")
            notified = True
        time.sleep(0.02)


@contextlib.contextmanager
def _os_errors_as_cache_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheError(f"{folder}: {error.strerror}: {ELSEWHERE}") from error


def _entry_path(folder: Path, key: str) -> Path:
    return folder / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.kernel"


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _require_closed(path: Path, facts: os.stat_result, unmapped: int | None = None) -> None:
    """Raise CacheError unless `path` is owned by us or root and not writable by others.

    A sticky folder such as /tmp may be: there others can add files but not touch ours. A folder above our own
    may also belong to `unmapped`, see `unmapped_owner`.
    """
    remedy = "no folder will do" if path == Path("/") else ELSEWHERE  # there is no way around the root
    if facts.st_uid not in (0, os.geteuid(), unmapped):
        raise CacheError(f"{path} belongs to another user (uid {facts.st_uid}): {remedy}")
    is_sticky = stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX
    if _is_open_to_others(facts) and not is_sticky:
        raise CacheError(f"{path} can be written by other users: {remedy}")


def _require_trusted_link(folder: Path, name: str, facts: os.stat_result) -> None:
    """Raise CacheError unless a link is owned by us, root, or the owner of a folder closed to others."""
    above = folder.lstat()
    trusted = (0, os.geteuid()) if _is_open_to_others(above) else (0, os.geteuid(), above.st_uid)
    if facts.st_uid not in trusted:
        link = f"a symbolic link of another user (uid {facts.st_uid})"
        raise CacheError(f"{folder / name} is {link}: {ELSEWHERE}")


def _is_open_to_others(facts: os.stat_result) -> bool:
    return bool(facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def unmapped_owner(proc: Path = Path("/proc")) -> int | None:
    """Return the id shown for owners that this user namespace does not map; None if it maps all.

    In a container of one user root is among them: `/` and `/var` then are no more dangerous than elsewhere.
    Such an owner may move our folder away, but not make another one that belongs to us.
    """
    try:
        unmapped = int((proc / "sys/kernel/overflowuid").read_bytes())
        spans = [tuple(map(int, line.split())) for line in (proc / "self/uid_map").read_bytes().splitlines()]
    except (OSError, ValueError):
        return None
    is_mapped = any(first <= unmapped < first + number for first, _, number in spans)
    return None if is_mapped else unmapped
