"""Folder and fingerprint of this package."""

import hashlib
import os
from pathlib import Path

from mpi_pi.system import command

FOLDER = Path(__file__).parents[1]


def fingerprint(folder: Path = FOLDER) -> str:
    """Return 12 hexadecimal digits that change with any module of a package.

    The version does not tell: a package that is being edited keeps it. `cluster.agent` has a copy of this
    function, since its text is sent to hosts where nothing is installed.
    """
    contents = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        contents.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return contents.hexdigest()[:12]


def commit(folder: Path = FOLDER.parent) -> str | None:
    """Return the commit of the repository in a folder, with -dirty if its files differ.

    Without a repository, return the variable MPI_PI_COMMIT, for a package that was sent on, or else None.
    """
    describe = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    if not (folder / ".git").exists():
        return os.environ.get("MPI_PI_COMMIT") or None
    return (command.output(describe, 10) or "").strip() or None
