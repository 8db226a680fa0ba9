"""Files that appear whole or not at all."""

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

READER_SECONDS = 5.0
"""How long a named pipe may be without anybody who reads from it."""


class OutputError(RuntimeError):
    """A file that cannot be written; says which option asked for it, and why."""


class AtomicFile:
    """A text file to be written in the course of a run, under its own name only once it is complete.

    It is opened at once, in its final folder and with something written to it, so that a missing folder, a
    lack of permission or a full disk shows before the run and not after it. Until it is complete it has no
    name, and even a process that is killed leaves nothing behind; where the file system cannot do that, it
    has a hidden name of its own. What is no regular file, such as a pipe, is written to directly.

    `option` and `path` are what the user said; - is standard output. All methods raise CannotWrite.
    """

    def __init__(self, option: str, path: str) -> None:
        self._what = f"argument {option}: {path!r}"
        self._path = Path("/dev/stdout" if path == "-" else path)
        with self._errors():
            kind = _kind(self._path)
            if stat.S_ISDIR(kind):
                raise IsADirectoryError(21, os.strerror(21))
            if stat.S_ISBLK(kind):
                raise PermissionError(1, "a block device, with a disk on it")
            self.direct = is_special(self._path)
            """Whether it is written to directly."""
            self.stream = self._opened()
            if not self.direct:
                self._try_writing()

    def _opened(self) -> TextIO:
        if self.direct:
            return self._text(_opened_directly(self._path))
        # Through a symbolic link, it is the file it points to that is replaced.
        self._path = Path(os.path.realpath(self._path))
        self._named = beside(self._path, f".{os.getpid()}.part", hidden=True)
        self._named.unlink(missing_ok=True)  # what a process of our number may have left is not ours
        mode = 0o666
        if self._path.exists():
            mode = stat.S_IMODE(self._path.stat().st_mode)
            if not os.access(self._path, os.W_OK):
                raise PermissionError(13, os.strerror(13))
        try:
            # A file without a name is given one by way of /proc, in the end.
            nameless = getattr(os, "O_TMPFILE", 0) if Path("/proc/self/fd").is_dir() else 0
            if not nameless:
                raise OSError
            descriptor = os.open(self._path.parent, nameless | os.O_WRONLY, mode)
        except OSError:
            descriptor = os.open(self._named, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        return self._text(descriptor)

    def _text(self, descriptor: int) -> TextIO:
        # The same bytes in every locale. What no encoding has is part of the name of a file.
        return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")

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
        """Add to the file."""
        with self._errors():
            if isinstance(content, str):
                self.stream.write(content)
            else:
                self.stream.buffer.write(content)

    def commit(self) -> None:
        """Give the file its name; if that fails nothing is left of it."""
        try:
            with self._errors():
                self.stream.flush()
                if self.direct:
                    return
                os.fsync(self.stream.fileno())
                if not self._named.exists():
                    self._give_name()
                self._named.replace(self._path)
                self._sync_folder()
        finally:
            self.discard()

    def _give_name(self) -> None:
        descriptor = self.stream.fileno()
        # Only given a folder's descriptor, which has no use here, does Python ask for links to be followed.
        os.link(f"/proc/self/fd/{descriptor}", self._named, src_dir_fd=descriptor, follow_symlinks=True)

    def _sync_folder(self) -> None:
        """Make the new name last, too, should the power fail."""
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # not every file system has this for folders
            os.fsync(descriptor)
        os.close(descriptor)

    def discard(self) -> None:
        """Leave no trace, unless it was committed."""
        with contextlib.suppress(OSError):
            self.stream.close()
        if not self.direct:
            with contextlib.suppress(OSError):
                self._named.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self._what}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def beside(path: Path, ending: str, hidden: bool = False) -> Path:
    """The path of a file that belongs to another one: its name, and an ending.

    Where the file system has no such long names, a digest stands for the rest of the name.
    """
    try:
        most_bytes = os.pathconf(path.parent, "PC_NAME_MAX")
    except (OSError, ValueError):  # there is no such folder, or the system does not tell
        most_bytes = 255
    name = os.fsencode(path.name)
    most_bytes -= len(os.fsencode(ending)) + hidden
    if len(name) > most_bytes:
        digest = f"-{hashlib.sha256(name).hexdigest()[:16]}".encode()
        name = name[: most_bytes - len(digest)].decode(errors="ignore").encode() + digest
    return path.with_name("." * hidden + os.fsdecode(name) + ending)


def _kind(path: Path) -> int:
    """Return the mode of what a path leads to; 0 if that does not exist yet. Raises OSError."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


def _opened_directly(path: Path) -> int:
    """Open what is no regular file; raise OSError if it is a named pipe that nobody reads from.

    What is open already, such as /dev/stdout, is not opened anew, which would begin at its beginning. Without
    O_NONBLOCK, to open a named pipe would wait for a reader.
    """
    found = re.fullmatch(r"/dev/(?:std(out|err)|fd/(\d+))|/proc/self/fd/(\d+)", str(path))
    if found:
        name, *numbers = found.groups()
        return os.dup({"out": 1, "err": 2}[name] if name else int(next(filter(None, numbers))))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY
    if not stat.S_ISFIFO(_kind(path)):
        return os.open(path, flags, 0o666)
    deadline = time.monotonic() + READER_SECONDS
    while True:
        try:
            descriptor = os.open(path, flags | os.O_NONBLOCK)
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
    """Whether a path leads to no regular file, or to one that is open already: /dev/stdout, /dev/fd/3."""
    if (kind := _kind(path)) and not stat.S_ISREG(kind):
        return True
    return str(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))
