"""Choice of the kernel for this host: compiled where numba is, or else NumPy's; both count the same hits."""

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
"""Beginning of the warning about a cache that was not used; the reason follows."""

NOT_EXECUTABLE = "the system refuses to execute memory that a program has written"
"""Beginning of the warning where machine code can be neither compiled nor loaded."""

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
    """A function that counts, and its origin."""

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
    """Reason why another kernel or the cache was not used, if so."""
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
        for job, units, hits in known_answers.HITS_OF_UNITS:
            if self.count(job, units).tolist() != list(hits):
                return False
        if (resume := self.resume) is None:
            return True
        pairs = zip(known_answers.edge_states(), known_answers.HITS_FROM_STATES, strict=True)
        return all(resume(state, pieces) == list(hits) for state, (pieces, hits) in pairs)


class KernelUnavailable(UserError):
    """The kernel that was asked for is not available on this host."""


class _NotExecutable(Exception):
    """The system refuses to execute memory."""


@functools.cache
def load(
    name: str = "auto", cache_folder: Path | None = None, notify: Callable[[str], object] = lambda _: None
) -> Kernel:
    """Return the kernel "numba", "numpy", or "auto": numba's if numba is installed and may compile.

    Its machine code is kept in `cache_folder`, by default `code_cache.default_folder()`. While another
    process compiles for long, `notify` is called once with a message about it. A kernel is loaded once in a
    process. Raises KernelUnavailable.
    """
    if name == "numpy":
        return _reference()
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
    return replace(_reference(), warning=f"{obstacle}: the NumPy kernel counts, slowly")


def _reference() -> Kernel:
    return Kernel("numpy", reference.count, units_at_once=reference.UNITS_AT_ONCE)


def _load_compiled(folder: Path, notify: Callable[[str], object]) -> Kernel:
    start = time.perf_counter()
    from mpi_pi.kernel import machine_code  # which the NumPy kernel does without

    key, compile_once = f"{fingerprint()}\n{machine_code.target()}", functools.cache(_compile)
    try:
        entry, found = code_cache.fetch(folder, key, compile_once, notify)
        source, warning = "cache" if found else "compiled", ""
    except code_cache.CacheError as error:
        entry, source, warning = compile_once(), "compiled", f"{NO_CACHE}{error}"
    name, cpu, code = entry.split(b"\0", 2)
    try:
        count = machine_code.CompiledKernel(code, name.decode())
    except OSError as error:
        raise _NotExecutable from error
    seconds = time.perf_counter() - start
    return Kernel("numba", count, cpu.decode(), source, seconds, warning, resume=count.resume)


def _compile() -> bytes:
    """Compile the kernel; return the name of its function, the CPU and the object file, separated by NUL."""
    try:
        from mpi_pi.kernel import count  # and with it numba, which takes a third of a second
    except PermissionError as error:  # numba has LLVM try it
        raise _NotExecutable from error
    except Exception as error:  # whatever a package raises that is broken
        raise imports.PackageError(imports.explain(error)) from error

    code, name = count.object_code()
    return b"\0".join([name.encode(), count.cpu_name().encode(), code])


def fingerprint(package: Path = Path(__file__).parents[1]) -> str:
    """Return a digest of the sources that the machine code is made from, and of the compiler's versions."""
    digest = hashlib.sha256(compiler_version("numba") + compiler_version("llvmlite"))
    sources = (path for path in (package / "kernel").iterdir() if path.suffix == ".py")  # glob takes longer
    for path in [*sorted(sources, key=str), package / "model" / "job.py"]:
        with path.open("rb", buffering=0) as file:
            digest.update(file.read())
    return digest.hexdigest()


def compiler_version(package: str) -> bytes:
    """Return text that has the version of a package, from a file inside: importlib.metadata takes 10 ms."""
    found = importlib.util.find_spec(package)
    try:
        return Path(found.origin if found and found.origin else "").with_name("_version.py").read_bytes()
    except (OSError, ValueError):
        from importlib import metadata

        try:
            return metadata.version(package).encode()
        except metadata.PackageNotFoundError:
            return b""
