"""The versions of all that a rank runs on; where they differ between hosts, so may what they do."""

import importlib.metadata
import platform
import struct
from dataclasses import dataclass

from mpi_pi.system.package import fingerprint
from mpi_pi.version import STREAM_VERSION, __version__


@dataclass(frozen=True)
class Software:
    """What is installed where a rank runs."""

    python: str
    bits: int
    """Of a pointer in this Python: 64, or 32, also on many a 64-bit kernel."""
    package: str
    sources: str
    """A fingerprint of the package: what is being edited keeps its version."""
    stream: int
    numpy: str
    numba: str | None
    mpi4py: str
    mpi: str


def software(mpi_library: str) -> Software:
    """What is installed here."""
    return Software(
        python=platform.python_version(),
        bits=8 * struct.calcsize("P"),
        package=__version__,
        sources=fingerprint(),
        stream=STREAM_VERSION,
        numpy=_version("numpy") or "",
        numba=_version("numba"),
        mpi4py=_version("mpi4py") or "",
        mpi=mpi_library,
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
