"""Job scripts and hostfiles, which come with the program, to be copied and edited."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mpi_pi.errors import UserError
from mpi_pi.storage.atomic_file import OutputError
from mpi_pi.system import package

FOLDERS = ("jobscripts", "hostfiles")
SHARE = Path("share", "mpi-pi")
"""Their folder below the prefix of an installation; pyproject.toml has it, too."""


def source() -> Path:
    """Return the folder that has `FOLDERS`: the repository, or the share of the installation.

    An editable install is a repository. The share of any other one is below a folder that the package is in,
    be it an environment, /usr/local, ~/.local or the target of `pip install --target`. Raises UserError.
    """
    above = package.FOLDER.parents
    for folder in (above[0], *(folder / SHARE for folder in above)):
        if all((folder / name).is_dir() for name in FOLDERS):
            return folder
    raise UserError(
        f"the job scripts and hostfiles were not installed with {package.FOLDER}:"
        " take them from an installation by pip, or from the sources"
    )


def names(folder: Path) -> list[Path]:
    """Return the paths of all files to be copied, relative to the folder that has `FOLDERS`."""
    found = [file for name in FOLDERS for file in (folder / name).rglob("*") if file.is_file()]
    # Without what Python, editors and systems leave there.
    relative = (file.relative_to(folder) for file in found)
    return sorted(name for name in relative if not any(part.startswith((".", "__")) for part in name.parts))


def write(folder: str) -> list[Path]:
    """Copy all files to a new or empty folder, and return their names in it.

    A file that exists is never written to, and if anything fails, nothing is left of what was written. Raises
    UserError for a folder that is not empty, and OutputError if it cannot be written.
    """
    argument = f"argument DIR: {folder!r}"
    start, target = source(), Path(folder)
    copied = names(start)
    made: list[Path] = []
    try:
        with _undone(made):
            _make_empty(target, made, argument)
            for name in copied:
                _make_folders(target / name.parent, made)
                _copy(start / name, target / name, made)
    except OSError as error:
        raise OutputError(f"{argument}: {error.strerror}") from error
    return copied


@contextlib.contextmanager
def _undone(made: list[Path]) -> Iterator[None]:
    """Remove files and folders in `made`, the last one first, if the context is left by any exception."""
    try:
        yield
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _make_empty(target: Path, made: list[Path], argument: str) -> None:
    if target.is_dir():
        if any(target.iterdir()):
            raise UserError(f"{argument}: is not empty: name a new folder, since no file is overwritten")
    else:
        target.mkdir()
        made.append(target)


def _make_folders(folder: Path, made: list[Path]) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent, made)
        folder.mkdir()
        made.append(folder)


def _copy(old: Path, new: Path, made: list[Path]) -> None:
    """Copy a file to a new one, which may be executed if the old one may."""
    content = old.read_bytes()
    mode = 0o777 if old.stat().st_mode & stat.S_IXUSR else 0o666
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    made.append(new)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)  # a full disk may show only here
