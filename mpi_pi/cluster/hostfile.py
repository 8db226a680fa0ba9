"""Hostfiles as the mpirun in use reads them: Open MPI's `node1 slots=4`, and MPICH's `node1:4`.

Each mpirun refuses the format of the other, and silently skips some words. The parsers follow the observed
behaviour of both, which tests/command/test_hostfile_rules.py documents.
"""

from dataclasses import replace
from pathlib import Path

from mpi_pi.cluster import mpich_hostfile
from mpi_pi.cluster.host import HostList
from mpi_pi.cluster.openmpi_hostfile import OpenMpiParser
from mpi_pi.errors import UserError
from mpi_pi.system.read_file import read_user_file

MAX_BYTES = 10_000_000
"""Maximum size, far above that of any hostfile: a device has no end."""


class HostfileError(UserError):
    """A hostfile that cannot be used."""


def read(path: str, launcher: str) -> HostList:
    """Read a hostfile as `launcher` does, such as "Open MPI 5.0.11" or "MPICH 5.0.2".

    For any other launcher, or "", it suffices that one of the two can read the file. Raises HostfileError.
    """
    try:
        content = read_user_file(Path(path), MAX_BYTES)
        if b"\0" in content:
            raise ValueError("not a text file")
        found = replace(parse(content.decode("latin-1"), launcher), text=content.decode("latin-1"))
        if not found.hosts:
            raise ValueError("names no hosts")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise HostfileError(f"{path!r}: {reason}") from error
    return found


def parse(text: str, launcher: str) -> HostList:
    """Return the hosts in a text decoded as Latin-1. Raises ValueError, whose text names line and word."""
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
