"""The checkpoint of a run: a shard on disk, where another run can go on.

A checkpoint is a JSON document of about a kilobyte, whatever the size of the job; `checkpoint.schema.json` in
this folder describes it. It is replaced atomically, so the file is always the old or the new one. A run that
resumes the old one counts some units again, and gets equal hits.
"""

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from mpi_pi.errors import RunError, UserError
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard
from mpi_pi.storage import json_document, schema
from mpi_pi.storage.atomic_file import AtomicFile, OutputError, beside, is_special
from mpi_pi.storage.fields import as_fields, from_fields, without_audits
from mpi_pi.storage.json_document import DocumentError
from mpi_pi.storage.lock_file import Lock, LockHeld
from mpi_pi.version import __version__

KIND, FORMAT = "checkpoint", 2

OLD_FORMAT = 1
"""The format before, of runs that were not audited; it is read, too."""


class CheckpointError(UserError):
    """A checkpoint that this run cannot resume or write; the file is unchanged."""


def load(path: Path) -> Shard | None:
    """Return the shard in a checkpoint; None if there is no such file. Raises DocumentError."""
    try:
        return loads(json_document.content(path))
    except DocumentError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def loads(content: bytes) -> Shard:
    """Return the shard in the text of a checkpoint. Raises DocumentError."""
    try:
        document = json_document.document(content, KIND, OLD_FORMAT, FORMAT, version_key="format")
        if document["format"] == OLD_FORMAT:
            document = without_audits(document) | {"format": FORMAT}
        schema.check(document, "checkpoint")
        return from_fields(document)
    except ValueError as error:
        raise DocumentError(str(error)) from error


def dumps(shard: Shard) -> str:
    """Return a shard as the text of a checkpoint."""
    about = {"program": "mpi-pi", "kind": KIND, "format": FORMAT, "version": __version__}
    return json_document.dumps(about | as_fields(shard))


class CheckpointFile:
    """The checkpoint of a run, locked and kept up to date.

    A context manager, which saves it however the run ends. `path` is as the user gave it. `warn` is called
    with the first failure to save. With `restart`, an old file, whatever it is, is kept under another name.
    `handed` is the state of an earlier run, to go on from unless the file is further; with it, `restart`
    means only files of other jobs. The lock keeps other runs away, except from a complete checkpoint, which
    they only read. Raises CheckpointError, and LockHeld if another run is using it.
    """

    def __init__(
        self,
        path: str,
        every_seconds: float,
        restart: bool,
        warn: Callable[[str], object],
        handed: Shard | None = None,
    ) -> None:
        self._name, self._path = path, Path(os.path.realpath(path))
        self._every, self._restart, self._warn, self._handed = every_seconds, restart, warn, handed
        self._lock = Lock(beside(self._path, ".lock"))
        self._saved_at = time.monotonic()
        self._warned = False
        self._latest: Shard | None = None
        self.saved: Shard | None = None
        """Content of the file; None if there is none to resume."""
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        try:
            special = is_special(Path(self._name)) or is_special(self._path)
        except OSError as error:
            raise CheckpointError(self._text(error.strerror)) from error
        if special:
            raise CheckpointError(self._text("not a regular file"))
        self.saved = self._load()
        if self.saved and self.saved.complete:
            return  # only to be read
        try:
            self._lock.acquire()
        except LockHeld as held:
            raise LockHeld(self._text(held)) from held
        except OSError as error:
            raise CheckpointError(self._text(f"its lock: {error.strerror}")) from error
        self.saved = self._load()  # once more: another run may have changed it until the lock was ours

    @property
    def job(self) -> Job | None:
        """The job to go on with, if there is one."""
        found = self.saved or self._handed
        return found.job if found else None

    def begin(self, shard: Shard) -> Shard:
        """Return where to go on with `shard`, of which nothing has been counted. Raises CheckpointError."""
        for one in (self.saved, self._handed):
            if one and (differences := shard.differences(one)):
                raise CheckpointError(self._text(f"is of another job: {differences}"))
        # Not the one with more units: an audit may have removed some. That is sent before it is saved.
        found = [one for one in (self._handed, self.saved) if one]
        shard = max(found, key=lambda one: (one.usage.runs, one.usage.rounds), default=shard)
        try:
            if shard is not self.saved:
                aside = self._free_name() if self._restart and not self.saved else None
                self._save(shard, aside)
            elif not shard.complete:
                AtomicFile("--checkpoint", str(self._path)).discard()  # tests whether it can be written
        except OutputError as error:
            raise CheckpointError(str(error)) from error
        self._latest = shard
        return shard

    def update(self, shard: Shard) -> None:
        """Note the state of the run, and save it when it is time.

        Raises RunError if this process stood still for so long that another run has taken over the lock.
        """
        if self._lock.lost:
            raise RunError(self._text("another run has taken over"))
        self._latest = shard
        if time.monotonic() - self._saved_at >= self._every:
            self.save()

    def finish(self, shard: Shard) -> None:
        """Save the final state of the run."""
        self._latest = shard
        self.save()

    def save(self) -> None:
        """Save the state noted last, unless the file has it. Only the first failure is a warning."""
        if self._latest in (None, self.saved) or self._lock.lost:
            return
        self._saved_at = time.monotonic()
        try:
            self._save(self._latest)
        except OutputError as error:
            if not self._warned:
                self._warn(f"{error}: not saved, the last checkpoint stays as it is")
            self._warned = True

    def _save(self, shard: Shard, aside: Path | None = None) -> None:
        """Replace the file, or rename the old one to `aside` once the disk has room for both."""
        with AtomicFile("--checkpoint", str(self._path)) as file:
            file.write(dumps(shard))
            if aside and self._path.exists():
                try:
                    self._path.rename(aside)
                except OSError as error:
                    raise OutputError(f"argument --restart: {str(aside)!r}: {error.strerror}") from error
            file.commit()
        self.saved = shard

    def _load(self) -> Shard | None:
        try:
            found = load(self._path)
        except DocumentError as error:
            if self._restart:
                return None
            why = f"{error} (--restart begins anew and keeps the file beside)"
            raise CheckpointError(self._text(why)) from error
        if self._restart and not (found and self._handed and not self._handed.differences(found)):
            return None
        return found

    def _free_name(self) -> Path:
        """Return the first of FILE.1, FILE.2 … that does not exist."""
        names = (beside(self._path, f".{number}") for number in itertools.count(1))
        return next(name for name in names if not name.exists())

    def _text(self, why: object) -> str:
        return f"argument --checkpoint: {self._name!r}: {why}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.save()
        finally:
            self._lock.release()
