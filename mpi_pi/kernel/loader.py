"""The kernel for this machine: compiled if numba is to be had, otherwise NumPy; both give the same hits."""

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

from mpi_pi.formatting import kernel_label
from mpi_pi.kernel import code_cache, known_answers, reference
from mpi_pi.model.job import Job
from mpi_pi.system import imports

NO_CACHE = "compile cache not used: "
"""How the warning begins that says why."""

NOT_EXECUTABLE = "the system refuses to execute memory that a program has written"
"""How the warning begins where no code can be compiled, or loaded."""


class Count(Protocol):
    """A function that counts hits."""

    def __call__(self, job: Job, units: range, stop: Callable[[], bool] = ..., /) -> NDArray[np.int64]:
        """Return the hits of each unit, int64, in the order of `units`, a contiguous range.

        When `stop()` turns true the count may end early; the result then holds the units finished by then.
        """
        ...


KNOWN_ANSWERS = known_answers.HITS_OF_UNITS

Resume = Callable[[NDArray[np.uint64], Sequence[int]], list[int]]
"""Hits of pieces of a unit that follow one another, given their points, from a state on: uint64 (4, 32)."""


@dataclass(frozen=True)
class Kernel:
    """A way to count, and how it came about."""

    name: str
    """"numba" or "numpy"."""
    count: Count
    target: str = ""
    """What it was compiled for."""
    source: str = ""
    """"cache" or "compiled", for a compiled kernel."""
    seconds: float = 0.0
    """What it took to import, compile or load it."""
    warning: str = ""
    """Why the cache was not used, if it was not."""
    units_at_once: int = 1
    """How many units it takes to be quick."""
    resume: Resume | None = None
    """Of a kernel that counts a long unit in pieces."""

    @property
    def described(self) -> str:
        """What it is, in words."""
        return kernel_label(self.name, self.target)

    def self_test(self) -> bool:
        """Whether it counts the known answers."""
        return all(
            self.count(job, units, reference.never).tolist() == list(hits)
            for job, units, hits in KNOWN_ANSWERS
        ) and (
            self.resume is None
            or all(
                self.resume(state, pieces) == list(hits)
                for state, (pieces, hits) in zip(_states(), known_answers.HITS_FROM_STATES, strict=True)
            )
        )


@functools.cache
def _states() -> NDArray[np.uint64]:
    return known_answers.edge_states(len(known_answers.HITS_FROM_STATES))


class KernelUnavailable(RuntimeError):
    """The kernel that was asked for cannot be had; says why."""


class _NotExecutable(Exception):
    pass


def never_told(_message: str) -> None:
    """Nobody is told what is being waited for."""


@functools.cache
def load(
    name: str = "auto", cache_folder: Path | None = None, tell: Callable[[str], object] = never_told
) -> Kernel:
    """The kernel "numba", "numpy", or "auto": numba's if numba is installed and allowed to compile.

    Its machine code is kept in `cache_folder`, by default `cache.default_folder()`. Where another process has
    been compiling for long, `tell` is called to say what this one is waiting for. A kernel is loaded once in
    a program. Raises KernelUnavailable.
    """
    if name == "numpy":
        return Kernel("numpy", reference.count, units_at_once=reference.UNITS_AT_ONCE)
    if importlib.util.find_spec("numba") is None:
        obstacle = "numba is not installed"
    elif os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        obstacle = "NUMBA_DISABLE_JIT is set"
    else:
        try:
            return _load_numba(cache_folder or code_cache.default_folder(), tell)
        except _NotExecutable:
            obstacle = f"{NOT_EXECUTABLE} (SELinux, systemd's MemoryDenyWriteExecute or seccomp)"
        except ImportError as error:
            obstacle = imports.explained(error)
    if name == "numba":
        raise KernelUnavailable(f"argument --kernel: 'numba': {obstacle}")
    return replace(load("numpy"), warning=f"{obstacle}: the NumPy kernel counts, slowly")


def _load_numba(folder: Path, tell: Callable[[str], object]) -> Kernel:
    start = time.perf_counter()
    from mpi_pi.kernel import machine_code as kernel_machine_code  # which the NumPy kernel does without

    machine_code, source, warning = _machine_code(
        folder, f"{_sources()}\n{kernel_machine_code.target()}", tell
    )
    name, cpu, code = machine_code.split(b"\0", 2)
    try:
        count = kernel_machine_code.CompiledKernel(code, name.decode())
    except OSError as error:
        raise _NotExecutable from error
    return Kernel(
        name="numba",
        count=count,
        resume=count.resume,
        target=cpu.decode(),
        source=source,
        seconds=time.perf_counter() - start,
        warning=warning,
    )


def _machine_code(
    folder: Path, key: str, tell: Callable[[str], object] = never_told
) -> tuple[bytes, str, str]:
    """Name and code of the function; "cache" or "compiled"; and why the cache was not used, if so."""
    made = functools.cache(_compile)
    try:
        machine_code, found = code_cache.fetch(folder, key, made, tell)
    except code_cache.CacheError as error:
        return made(), "compiled", f"{NO_CACHE}{error}"
    return machine_code, "cache" if found else "compiled", ""


def _compile() -> bytes:
    try:
        from mpi_pi.kernel import count as kernel_count  # and with it numba, which takes a third of a second
    except PermissionError as error:  # numba has LLVM try it
        raise _NotExecutable from error
    except Exception as error:  # whatever a package raises that is broken
        raise imports.PackageError(imports.explained(error)) from error

    code, name = kernel_count.object_code()
    return b"\0".join([name.encode(), kernel_count.cpu_name().encode(), code])


def _sources() -> str:
    """A fingerprint of what the machine code is made from, and of the versions of what makes it."""
    here = Path(__file__).parent
    files = [*sorted(here.glob("*.py")), here.parent / "model" / "job.py"]
    return hashlib.sha256(b"".join([file.read_bytes() for file in files] + _versions())).hexdigest()


def _versions() -> list[bytes]:
    """Of numba and LLVM."""
    return [_version(name) for name in ("numba", "llvmlite")]


def _version(package: str) -> bytes:
    """From a file of the package's own: to ask for it in the proper way takes 10 ms."""
    found = importlib.util.find_spec(package)
    try:
        return Path(found.origin if found and found.origin else "").with_name("_version.py").read_bytes()
    except (OSError, ValueError):
        from importlib import metadata

        try:
            return metadata.version(package).encode()
        except metadata.PackageNotFoundError:
            return b""
