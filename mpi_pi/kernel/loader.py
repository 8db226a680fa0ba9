"""The kernel for this host: the compiled one if numba is there, otherwise NumPy; both count the same hits."""

import functools
import hashlib
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mpi_pi.errors import UserError
from mpi_pi.formatting import kernel_label
from mpi_pi.kernel import code_cache, known_answers, reference
from mpi_pi.model.job import Job
from mpi_pi.system import imports

NO_CACHE = "compile cache not used: "
"""Beginning of the warning that says why the cache was not used."""

NOT_EXECUTABLE = "the system refuses to execute memory that a program has written"
"""Beginning of the warning where machine code can be neither compiled nor loaded."""

KNOWN_ANSWERS = known_answers.HITS_OF_UNITS

Resume = Callable[[NDArray[np.uint64], Sequence[int]], list[int]]
"""See `machine_code.CompiledKernel.resume`."""


class Count(Protocol):
    """A function that counts hits."""

    def __call__(self, job: Job, units: range, stop: Callable[[], bool] = ..., /) -> NDArray[np.int64]:
        """Return the hits of each unit, int64, in the order of `units`, a contiguous range.

        When `stop()` turns true the count may end early; the result then holds the units finished by then.
        """
        ...


@dataclass(frozen=True)
class Kernel:
    """A function that counts, and where it came from."""

    name: str
    """"numba" or "numpy"."""
    count: Count
    target: str = ""
    """CPU that a compiled kernel was compiled for."""
    source: str = ""
    """"cache" or "compiled", for a compiled kernel."""
    seconds: float = 0.0
    """Time to import, compile or load it."""
    warning: str = ""
    """Why another kernel or the cache was not used, if so."""
    units_at_once: int = 1
    """Number of units that a call needs for the full rate."""
    resume: Resume | None = None
    """For a kernel that counts a long unit in pieces."""

    @property
    def label(self) -> str:
        """Name and target, for people."""
        return kernel_label(self.name, self.target)

    def self_test(self) -> bool:
        """Return whether the kernel counts the known answers."""
        if any(self.count(job, units).tolist() != list(hits) for job, units, hits in KNOWN_ANSWERS):
            return False
        return self.resume is None or all(
            self.resume(state, pieces) == list(hits)
            for state, (pieces, hits) in zip(_edge_states(), known_answers.HITS_FROM_STATES, strict=True)
        )


@functools.cache
def _edge_states() -> NDArray[np.uint64]:
    return known_answers.edge_states(len(known_answers.HITS_FROM_STATES))


class KernelUnavailable(UserError):
    """The kernel that was asked for is not available on this host."""


class _NotExecutable(Exception):
    """The system refuses to execute memory."""


def ignore(_message: str) -> None:
    """Do nothing: the default for messages to the user."""


@functools.cache
def load(
    name: str = "auto", cache_folder: Path | None = None, notify: Callable[[str], object] = ignore
) -> Kernel:
    """Return the kernel "numba", "numpy", or "auto": numba's if numba is installed and may compile.

    Its machine code is kept in `cache_folder`, by default `code_cache.default_folder()`. While another
    process compiles for long, `notify` is called once with a message about it. A kernel is loaded once in a
    process. Raises KernelUnavailable.
    """
    if name == "numpy":
        return Kernel("numpy", reference.count, units_at_once=reference.UNITS_AT_ONCE)
    if importlib.util.find_spec("numba") is None:
        obstacle = "numba is not installed"
    elif os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        obstacle = "NUMBA_DISABLE_JIT is set"  # with which numba's arithmetic would be wrong
    else:
        try:
            return _load_compiled(cache_folder or code_cache.default_folder(), notify)
        except _NotExecutable:
            obstacle = f"{NOT_EXECUTABLE} (SELinux, systemd's MemoryDenyWriteExecute or seccomp)"
        except ImportError as error:
            obstacle = imports.explain(error)
    if name == "numba":
        raise KernelUnavailable(f"argument --kernel: 'numba': {obstacle}")
    return replace(load("numpy"), warning=f"{obstacle}: the NumPy kernel counts, slowly")


def _load_compiled(folder: Path, notify: Callable[[str], object]) -> Kernel:
    start = time.perf_counter()
    from mpi_pi.kernel import machine_code  # which the NumPy kernel does without

    entry, source, warning = _cache_entry(folder, f"{_fingerprint()}\n{machine_code.target()}", notify)
    name, cpu, code = entry.split(b"\0", 2)
    try:
        count = machine_code.CompiledKernel(code, name.decode())
    except OSError as error:
        raise _NotExecutable from error
    seconds = time.perf_counter() - start
    return Kernel("numba", count, cpu.decode(), source, seconds, warning, resume=count.resume)


def _cache_entry(folder: Path, key: str, notify: Callable[[str], object] = ignore) -> tuple[bytes, str, str]:
    """Return the entry made by `_compile`, "cache" or "compiled", and why the cache was not used, if so."""
    compile_once = functools.cache(_compile)
    try:
        entry, found = code_cache.fetch(folder, key, compile_once, notify)
    except code_cache.CacheError as error:
        return compile_once(), "compiled", f"{NO_CACHE}{error}"
    return entry, "cache" if found else "compiled", ""


def _compile() -> bytes:
    """Return the name of the function, the CPU and the object file, separated by NUL bytes."""
    try:
        from mpi_pi.kernel import count  # and with it numba, which takes a third of a second
    except PermissionError as error:  # numba has LLVM try it
        raise _NotExecutable from error
    except Exception as error:  # whatever a package raises that is broken
        raise imports.PackageError(imports.explain(error)) from error

    code, name = count.object_code()
    return b"\0".join([name.encode(), count.cpu_name().encode(), code])


def _fingerprint() -> str:
    """Return a digest of the sources that the machine code is made from, and of the compiler's versions."""
    room, digest = Path(__file__).parent, hashlib.sha256(b"".join(_compiler_versions()))
    sources = (path for path in room.iterdir() if path.suffix == ".py")  # glob would compile a pattern
    for path in [*sorted(sources, key=str), room.parent / "model" / "job.py"]:
        with path.open("rb", buffering=0) as file:
            digest.update(file.read())
    return digest.hexdigest()


def _compiler_versions() -> list[bytes]:
    return [_version(package) for package in ("numba", "llvmlite")]


def _version(package: str) -> bytes:
    """Return the version from a file inside the package: importlib.metadata takes 10 ms."""
    found = importlib.util.find_spec(package)
    try:
        return Path(found.origin if found and found.origin else "").with_name("_version.py").read_bytes()
    except (OSError, ValueError):
        from importlib import metadata

        try:
            return metadata.version(package).encode()
        except metadata.PackageNotFoundError:
            return b""
