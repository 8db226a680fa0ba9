"""Files that appear whole or not at all."""

import contextlib
import os
import stat
from pathlib import Path
from typing import Self, TextIO


class NewFile:
    """A text file to be written in the course of a run, under its own name only once it is complete.

    It is opened at once, beside its final place and with something written to it, so that a missing folder,
    a lack of permission or a full disk shows before the run and not after it. Raises OSError. Things that
    are no regular files (/dev/null, a pipe) are written to directly.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        if self._path.is_dir():
            raise IsADirectoryError(21, os.strerror(21))
        self._aside: Path | None = None
        if self._path.exists() and not stat.S_ISREG(self._path.stat().st_mode):
            self.stream: TextIO = self._path.open("w")
            return
        # Through a symbolic link, the file it points to is what gets replaced.
        self._path = self._path.resolve()
        if self._path.exists() and not os.access(self._path, os.W_OK):
            raise PermissionError(13, os.strerror(13))
        self._aside = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        self.stream = self._aside.open("w")
        try:
            self._try_writing()
        except OSError:
            self.discard()
            raise

    def _try_writing(self) -> None:
        self.stream.write(" " * 4096)
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.seek(0)
        self.stream.truncate()

    def commit(self) -> None:
        """Give the file its name. Raises OSError, after which nothing is left of it."""
        try:
            self.stream.flush()
            if self._aside is not None:
                os.fsync(self.stream.fileno())
                self._aside.replace(self._path)
                self._aside = None
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave no trace, unless it was committed."""
        with contextlib.suppress(OSError):
            self.stream.close()
        if self._aside is not None:
            self._aside.unlink(missing_ok=True)
            self._aside = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()
