"""Atomic replacement of files: a file has its name only once it is complete."""

import contextlib
import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self, TextIO

from mpi_pi.errors import UserError

READER_SECONDS = 5.0
"""Time limit for a reader of a named pipe."""


class OutputError(UserError):
    """A file that cannot be written, named with its option."""


class AtomicFile:
    """A text file that is written in the course of a run, and replaces an old one when it is committed.

    The constructor opens it in its final folder and writes to it, so that a missing folder, a lack of
    permission or a full disk shows before the run. Until `commit` it has no name, so even a process that is
    killed leaves nothing behind; on a file system without nameless files it has a hidden name. A special
    file, such as a pipe, is written to directly.

    `option` and `path` are as the user gave them; - is standard output. All methods raise OutputError.
    """

    def __init__(self, option: str, path: str) -> None:
        self._argument = f"argument {option}: {path!r}"
        self._path = Path("/dev/stdout" if path == "-" else path)
        with self._errors():
            kind = _mode(self._path)
            if stat.S_ISDIR(kind):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if stat.S_ISBLK(kind):
                raise PermissionError(errno.EPERM, "a block device, with a disk on it")
            self.direct = is_special(self._path)
            """True for a special file."""
            # The same bytes in every locale. A file name may hold bytes that no encoding has.
            self.stream: TextIO = os.fdopen(self._open(), "w", encoding="utf-8", errors="backslashreplace")
            if not self.direct:
                self._try_writing()

    def _open(self) -> int:
        """Return the descriptor of the special file, or of a new file without a name or with a hidden one."""
        if self.direct:
            return _open_special(self._path)
        self._path = Path(os.path.realpath(self._path))  # through a symbolic link, its target is replaced
        self._hidden = beside(self._path, f".{os.getpid()}.part", hidden=True)
        self._hidden.unlink(missing_ok=True)  # left by a process with our number
        mode = 0o666
        if self._path.exists():
            mode = stat.S_IMODE(self._path.stat().st_mode)
            if not os.access(self._path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        nameless = getattr(os, "O_TMPFILE", 0)
        if nameless and Path("/proc/self/fd").is_dir():  # by which `commit` finds it
            with contextlib.suppress(OSError):
                return os.open(self._path.parent, nameless | os.O_WRONLY, mode)
        return os.open(self._hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)

    def _try_writing(self) -> None:
        try:
            self.stream.write(" " * 4096)
            self.stream.flush()
            os.fsync(self.stream.fileno())
            self.stream.seek(0)
            self.stream.truncate()
        except OSError:
            self.discard()
            raise

    def write(self, content: str | bytes) -> None:
        """Append to the file."""
        with self._errors():
            if isinstance(content, str):
                self.stream.write(content)
            else:
                self.stream.buffer.write(content)

    def commit(self) -> None:
        """Give the file its name; if that fails, nothing is left of it."""
        try:
            with self._errors():
                self.stream.flush()
                if self.direct:
                    return
                descriptor = self.stream.fileno()
                os.fsync(descriptor)
                if not self._hidden.exists():
                    link = f"/proc/self/fd/{descriptor}"
                    # Python follows links only if it is given a folder's descriptor, which is not used here.
                    os.link(link, self._hidden, src_dir_fd=descriptor, follow_symlinks=True)
                self._hidden.replace(self._path)
                self._sync_folder()
        finally:
            self.discard()

    def _sync_folder(self) -> None:
        """Make the new name durable in case of a power failure."""
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # not every file system can do this with folders
            os.fsync(descriptor)
        os.close(descriptor)

    def discard(self) -> None:
        """Close the file, and leave nothing of it unless it was committed."""
        with contextlib.suppress(OSError):
            self.stream.close()
        if not self.direct:
            with contextlib.suppress(OSError):
                self._hidden.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self._argument}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def beside(path: Path, ending: str, hidden: bool = False) -> Path:
    """Return the path of a file that belongs to another one: its name, and an ending.

    A name that is too long for the file system is cut, and a digest stands for the rest.
    """
    try:
        max_bytes = os.pathconf(path.parent, "PC_NAME_MAX")
    except (OSError, ValueError):  # there is no such folder, or the system does not tell
        max_bytes = 255
    name = os.fsencode(path.name)
    max_bytes -= len(os.fsencode(ending)) + hidden
    if len(name) > max_bytes:
        digest = f"-{hashlib.sha256(name).hexdigest()[:16]}".encode()
        name = name[: max_bytes - len(digest)].decode(errors="ignore").encode() + digest
    return path.with_name("." * hidden + os.fsdecode(name) + ending)


def _mode(path: Path) -> int:
    """Return the mode of the file at a path; 0 if there is none. Raises OSError."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


def _open_special(path: Path) -> int:
    """Open a special file. Raises OSError, also for a named pipe without a reader after `READER_SECONDS`.

    An open file, such as /dev/stdout, is duplicated, since opening it again would begin at its start.
    """
    found = re.fullmatch(r"/dev/(?:std(out|err)|fd/(\d+))|/proc/self/fd/(\d+)", str(path))
    if found:
        name, *numbers = found.groups()
        return os.dup({"out": 1, "err": 2}[name] if name else int(next(filter(None, numbers))))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY
    if not stat.S_ISFIFO(_mode(path)):
        return os.open(path, flags, 0o666)
    deadline = time.monotonic() + READER_SECONDS
    while True:
        try:
            descriptor = os.open(path, flags | os.O_NONBLOCK)  # otherwise it would wait for a reader
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline:
                raise OSError(error.errno, "a pipe that nobody reads from") from error
            time.sleep(0.02)
        else:
            os.set_blocking(descriptor, True)
            return descriptor


def is_special(path: Path) -> bool:
    """Return whether a path leads to a special file, or to one that is open: /dev/stdout, /dev/fd/3."""
    mode = _mode(path)
    return bool(mode and not stat.S_ISREG(mode)) or str(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))
