"""Hostfiles as the mpirun in use reads them: Open MPI's `node1 slots=4`, and MPICH's `node1:4`.

Each mpirun refuses what the other one wants, and skips some words without saying so. The parsers follow what
they were seen to do with the files in tests/command/test_hostfile_rules.py.
"""

from pathlib import Path

from mpi_pi.cluster import mpich_hostfile
from mpi_pi.cluster.host import HostList
from mpi_pi.cluster.openmpi_hostfile import OpenMpiParser
from mpi_pi.errors import UserError
from mpi_pi.system.read_file import read_user_file

MAX_BYTES = 10_000_000
"""More than any hostfile has. A device has no end."""


class HostfileError(UserError):
    """A hostfile that cannot be used."""


def read(path: str, launcher: str) -> HostList:
    """Read a hostfile as that launcher does, such as "Open MPI 5.0.11" or "MPICH 5.0.2".

    For a launcher that is not known, "" or another, it is enough that one of the two could read the file.
    Raises HostfileError.
    """
    try:
        content = read_user_file(Path(path), MAX_BYTES)
    except OSError as error:
        raise HostfileError(f"{path!r}: {error.strerror}") from error
    if b"\0" in content:
        raise HostfileError(f"{path!r}: not a text file")
    try:
        found = parse(content.decode("latin-1"), launcher)
    except ValueError as error:
        raise HostfileError(f"{path!r}: {error}") from error
    if not found.hosts:
        raise HostfileError(f"{path!r}: names no hosts")
    return found


def parse(text: str, launcher: str) -> HostList:
    """Return the hosts in a text of which every character is a byte.

    Raises ValueError, naming line and word.
    """
    if text.startswith("\xef\xbb\xbf"):
        raise ValueError(
            "line 1: it begins with a byte order mark (BOM), which no mpirun takes:"
            " save it as plain text (UTF-8 without BOM)"
        )
    if launcher.startswith("Open MPI"):
        return OpenMpiParser(launcher.startswith("Open MPI 4")).parse(text)
    if launcher.startswith("MPICH"):
        return mpich_hostfile.parse(text, launcher)
    try:
        return OpenMpiParser().parse(text)
    except ValueError:
        return mpich_hostfile.parse(text, launcher)
