"""Versions of the software that a rank runs on, which may differ between hosts."""

import importlib.metadata
import platform
import struct
from dataclasses import dataclass

from mpi_pi.system.package import fingerprint
from mpi_pi.version import STREAM_VERSION, __version__


@dataclass(frozen=True)
class Software:
    """Versions where a rank runs; None for what is not installed."""

    python: str
    bits: int
    """Size of a pointer in this Python: 64, or 32, also on many a 64-bit operating system."""
    package: str
    sources: str
    """Fingerprint of the package, since a package that is being edited keeps its version."""
    stream: int
    numpy: str
    numba: str | None
    mpi4py: str
    mpi: str


def software(mpi_library: str) -> Software:
    """Return the versions of what is installed here."""
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
