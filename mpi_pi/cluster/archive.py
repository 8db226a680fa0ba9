"""An archive with the project and wheels for several platforms, for machines without a network."""

import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from mpi_pi.cluster import sources, wheelhouse, wheels
from mpi_pi.cluster.pip import WheelsUnavailable
from mpi_pi.cluster.platforms import Platform
from mpi_pi.storage.atomic_file import AtomicFile
from mpi_pi.version import __version__

FOLDER = f"mpi-pi-{__version__}"
"""Folder in the archive."""

GLIBC = "2.28"
"""Of Debian 10 and RHEL 8. Most packages have no wheels for an older one."""

MODIFIED = 315_619_200
"""Time of modification of all files, for archives of the same files to be equal: 2 January 1980.

The wheels made of them are ZIP archives, which know no time before 1980 in any time zone.
"""


@dataclass(frozen=True)
class Content:
    """What was written."""

    platforms: str
    """As `wheelhouse.sentence` returns them."""
    wheels: int
    """Number of wheels."""
    megabytes: float
    """Size of the archive."""


def platform(machine: str, python: str) -> Platform:
    """Return the oldest platform that an archive for a minor version of Python is for."""
    return Platform(f"{python}.0", machine, GLIBC)


def write(
    project: wheels.Project, targets: Sequence[Platform], file: AtomicFile, say: Callable[[str], object]
) -> Content:
    """Write an archive to a file, without committing it; call `say` with lines of progress.

    Raises WheelsUnavailable, and OutputError for the file.
    """
    build = project.folder / "build"
    try:
        build.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="wheelhouse-", dir=build) as place:
            house = Path(place) / wheelhouse.FOLDER
            house.mkdir()
            for target in targets:
                say(f"collecting wheels for {wheelhouse.name(target)}")
                wheels.download(project, target, house)
            collected = list(house.iterdir())
            (house / wheelhouse.LIST).write_text(wheelhouse.listing(targets))
            content = sources.unpacked(project.folder, min(house.glob("setuptools-*.whl")), Path(place))
            house.rename(content / wheelhouse.FOLDER)
            return Content(wheelhouse.sentence(targets), len(collected), pack(content, file))
    except OSError as error:
        raise WheelsUnavailable(f"{error.filename or build}: {error.strerror}") from error


def pack(content: Path, file: AtomicFile) -> float:
    """Write the files of a folder, always in the same way, and return the size of the archive in MB."""
    entries = sorted(entry for entry in content.rglob("*") if not entry.is_dir())
    stream = cast("IO[bytes]", file)  # of which nothing but `write` is called in this mode
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(f"{FOLDER}/{entry.relative_to(content)}")
            info.size, info.mtime = entry.stat().st_size, MODIFIED
            info.mode = 0o755 if entry.stat().st_mode & 0o100 else 0o644
            with entry.open("rb") as data:
                archive.addfile(info, data)
    return float(archive.offset) / 1e6
