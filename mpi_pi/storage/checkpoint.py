"""A part of a job on disk, safe: how far a run has got, so that another can go on from there.

A checkpoint is a JSON document of about a kilobyte, whatever the size of the job: `program` ("mpi-pi"),
`kind` ("checkpoint"), `format` (1), the program's `version`, the fields of `part.as_fields`, and a
`checksum`. It is replaced as a whole, so at any moment it is either the old or the new one, and either is
right: a run that goes on from an older one counts some units once more, and comes to the same hits.
"""

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from mpi_pi.model.shard import Shard
from mpi_pi.storage import json_document
from mpi_pi.storage.atomic_file import AtomicFile, OutputError, beside, is_special
from mpi_pi.storage.fields import as_fields, from_fields
from mpi_pi.storage.lock_file import Lock, LockHeld
from mpi_pi.version import __version__

KIND, FORMAT = "checkpoint", 1


class CheckpointError(Exception):
    """A checkpoint that this run cannot go on from; says why. The file is as it was."""


class CheckpointBusy(CheckpointError):
    """It is worked on by another run."""


def load(path: Path) -> Shard | None:
    """The part in a checkpoint; None if there is no such file. Raises sealed.DocumentError."""
    try:
        return from_fields(json_document.read(path, KIND, "format", FORMAT))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise json_document.DocumentError(str(error)) from error


def dumps(part: Shard) -> str:
    """A part as the text of a checkpoint."""
    about = {"program": "mpi-pi", "kind": KIND, "format": FORMAT, "version": __version__}
    return json_document.dumps(about | as_fields(part))


class CheckpointFile:
    """Keeps the checkpoint of a run up to date. A context manager, for the end of the run whatever its kind.

    `path` is what the user said; `warn` is called with a line, once at most, when a checkpoint cannot be
    saved. With `restart` an old checkpoint, of whatever kind, is kept beside the new one under another name.
    Nobody else may use it meanwhile, but to look at the answer of a finished one. Raises CheckpointError.
    """

    def __init__(self, path: str, every_seconds: float, restart: bool, warn: Callable[[str], object]) -> None:
        self._name, self._path = path, Path(os.path.realpath(path))
        self._every, self._warn = every_seconds, warn
        self._lock = Lock(beside(self._path, ".lock"))
        self._saved_at = time.monotonic()
        self._warned = False
        self._restart = restart
        self.saved: Shard | None = None
        """What the file holds; None if it is not to be gone on from."""
        self._latest: Shard | None = None
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        try:
            special = is_special(Path(self._name)) or is_special(self._path)
        except OSError as error:
            raise self._unusable(str(error.strerror)) from error
        if special:
            raise self._unusable("not a regular file")
        self.saved = self._load()
        if self.saved and self.saved.complete:
            return  # it will only be read
        try:
            self._lock.acquire()
        except LockHeld as held:
            raise CheckpointBusy(str(self._unusable(str(held)))) from held
        except OSError as error:
            raise self._unusable(f"its lock: {error.strerror}") from error
        self.saved = self._load()  # once more: now nobody else changes it

    def begin(self, part: Shard) -> Shard:
        """Where to go on with a part of which nothing has been counted. Raises CheckpointError."""
        if self.saved:
            differences = part.differences(self.saved)
            if differences:
                raise self._unusable(f"is of another job: {differences}")
            part = self.saved
        try:
            if not self.saved:
                self._save(part, aside=self._free_name() if self._restart else None)
            elif not part.complete:
                AtomicFile("--checkpoint", str(self._path)).discard()  # to see whether it can be written
        except OutputError as error:
            raise CheckpointError(str(error)) from error
        self._latest = part
        return part

    def update(self, part: Shard) -> None:
        """Take note of how far the run has got, and save it when it is time.

        Raises RuntimeError if another run has taken over, because this one stood still for so long.
        """
        if self._lock.lost:
            raise RuntimeError(f"argument --checkpoint: {self._name!r}: another run has taken over")
        self._latest = part
        if time.monotonic() - self._saved_at >= self._every:
            self.save()

    def finish(self, part: Shard) -> None:
        """Save how far the run has got in the end."""
        self._latest = part
        self.save()

    def save(self) -> None:
        """Save what was noted last, if that has not been done. A failure is a warning, and only the first."""
        if self._latest in (None, self.saved) or self._lock.lost:
            return
        self._saved_at = time.monotonic()
        try:
            self._save(self._latest)
        except OutputError as error:
            if not self._warned:
                self._warn(f"{error}: not saved, the last checkpoint stays as it is")
            self._warned = True

    def _save(self, part: Shard, aside: Path | None = None) -> None:
        """Replace the file; or give it another name, once it is sure that there is room for the new one."""
        with AtomicFile("--checkpoint", str(self._path)) as file:
            file.write(dumps(part))
            if aside and self._path.exists():
                self._rename(aside)
            file.commit()
        self.saved = part

    def _rename(self, aside: Path) -> None:
        try:
            self._path.rename(aside)
        except OSError as error:
            raise OutputError(f"argument --restart: {str(aside)!r}: {error.strerror}") from error

    def _load(self) -> Shard | None:
        try:
            return None if self._restart else load(self._path)
        except json_document.DocumentError as error:
            raise self._unusable(f"{error} (--restart begins anew and keeps the file beside)") from error

    def _free_name(self) -> Path:
        """The first of FILE.1, FILE.2 … that there is not."""
        names = (beside(self._path, f".{number}") for number in itertools.count(1))
        return next(name for name in names if not name.exists())

    def _unusable(self, why: str) -> CheckpointError:
        return CheckpointError(f"argument --checkpoint: {self._name!r}: {why}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.save()
        finally:
            self._lock.release()
