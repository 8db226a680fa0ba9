"""A part of a job on disk, safe: how far a run has got, so that another can go on from there.

A checkpoint is a JSON document of about a kilobyte, whatever the size of the job: `program` ("mpi-pi"),
`kind` ("checkpoint"), `format` (1), the program's `version`, the fields of `part.as_fields`, and a
`checksum`. It is replaced as a whole, so at any moment it is either the old or the new one, and either is
right: a run that goes on from an older one counts some units once more, and comes to the same hits.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from mpi_pi import __version__, sealed
from mpi_pi.files import CannotWrite, NewFile
from mpi_pi.lock import Held, Lock
from mpi_pi.part import Part, as_fields, from_fields

KIND, FORMAT = "checkpoint", 1


class Unusable(Exception):
    """A checkpoint that this run cannot go on from; says why. The file is as it was."""


def load(path: Path) -> Part | None:
    """The part in a checkpoint; None if there is no such file. Raises sealed.Unreadable."""
    try:
        document = sealed.read(path)
    except FileNotFoundError:
        return None
    if document.get("kind") != KIND:
        raise sealed.Unreadable("not a checkpoint, but something else of mpi-pi's")
    if document.get("format") != FORMAT:
        version = document.get("version")
        raise sealed.Unreadable(f"has format {document.get('format')!r} of mpi-pi {version!r}, not {FORMAT}")
    sealed.check(document)
    try:
        return from_fields(document)
    except ValueError as error:
        raise sealed.Unreadable(str(error)) from error


def dumps(part: Part) -> str:
    """A part as the text of a checkpoint."""
    about = {"program": "mpi-pi", "kind": KIND, "format": FORMAT, "version": __version__}
    return sealed.dumps(about | as_fields(part))


class Keeper:
    """Keeps the checkpoint of a run up to date. A context manager, for the end of the run whatever its kind.

    `path` is what the user said; `warn` is called with a line, once at most, when a checkpoint cannot be
    saved. With `restart` an old checkpoint, of whatever kind, is kept beside the new one under another name.
    Nobody else may use it meanwhile, but to look at the answer of a finished one. Raises Unusable.
    """

    def __init__(self, path: str, every_seconds: float, restart: bool, warn: Callable[[str], object]) -> None:
        self._name, self._path = path, Path(os.path.realpath(path))
        self._every, self._warn = every_seconds, warn
        self._lock = Lock(self._path.with_name(self._path.name + ".lock"))
        self._saved_at = time.monotonic()
        self._warned = False
        self._restart = restart
        self.saved: Part | None = None
        """What the file holds; None if it is not to be gone on from."""
        self._latest: Part | None = None
        try:
            self.saved = self._load()
            if self.saved is None or not self.saved.finished:
                self._lock.acquire()
                self.saved = self._load()  # once more: now nobody else changes it
        except Held as held:
            raise self._unusable(str(held)) from held
        except OSError as error:
            raise self._unusable(str(error.strerror)) from error
        except Unusable:
            self._lock.release()
            raise

    def begin(self, part: Part) -> Part:
        """Where to go on with a part of which nothing has been counted. Raises Unusable."""
        if self.saved is None:
            try:
                if self._restart:
                    self._keep_aside()
                self._save(part)
            except OSError as error:
                raise self._unusable(str(error.strerror)) from error
            except CannotWrite as error:
                raise Unusable(str(error)) from error
            return part
        differences = part.differences(self.saved)
        if differences:
            raise self._unusable(f"is of another job: {differences}")
        self._latest = self.saved
        return self.saved

    def update(self, part: Part) -> None:
        """Take note of how far the run has got, and save it when it is time.

        Raises RuntimeError if another run has taken over, because this one stood still for so long.
        """
        if self._lock.lost:
            raise RuntimeError(f"argument --checkpoint: {self._name!r}: another run has taken over")
        self._latest = part
        if time.monotonic() - self._saved_at >= self._every:
            self.save()

    def finish(self, part: Part) -> None:
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
        except CannotWrite as error:
            if not self._warned:
                self._warn(f"{error}: not saved, the last checkpoint stays as it is")
            self._warned = True

    def _save(self, part: Part) -> None:
        with NewFile("--checkpoint", self._name) as file:
            file.write(dumps(part))
            file.commit()
        self.saved = part

    def _load(self) -> Part | None:
        try:
            return None if self._restart else load(self._path)
        except sealed.Unreadable as error:
            raise self._unusable(f"{error} (--restart begins anew and keeps the file beside)") from error

    def _keep_aside(self) -> None:
        """Rename the file to the first of FILE.1, FILE.2 … that is free."""
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.{number}")).exists():
            number += 1
        if self._path.exists():
            self._path.rename(aside)

    def _unusable(self, why: str) -> Unusable:
        return Unusable(f"argument --checkpoint: {self._name!r}: {why}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.save()
        self._lock.release()
