"""The kernel for this machine: compiled if numba is to be had, otherwise NumPy; both give the same hits."""

import functools
import hashlib
import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_pi import cache, reference
from mpi_pi.job import Job
from mpi_pi.words import made_for

NO_CACHE = "compile cache not used: "
"""How the warning begins that says why."""

Count = Callable[[Job, range, Callable[[], bool]], NDArray[np.int64]]
"""Hits of each of a range of units; may end early, with the units finished, when the callable turns true."""

KNOWN_ANSWERS = (
    # The hits of a few units, by the reference: a short seed and one beyond 128 bits; trials on both sides of
    # 2^32; counts that end within a step; about a dozen points in doubt. Kept apart from the code under test.
    (Job(trials=3, points=10_007, seed=0), range(3), (7810, 7844, 7828)),
    (
        Job(trials=1 << 33, points=20_001, seed=(1 << 130) + 7),
        range((1 << 32) - 1, (1 << 32) + 2),
        (15735, 15664, 15659),
    ),
)


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

    @property
    def described(self) -> str:
        """What it is, in words."""
        return made_for(self.name, self.target)

    def is_right(self) -> bool:
        """Whether it counts the known answers."""
        return all(
            self.count(job, units, reference.never).tolist() == list(hits)
            for job, units, hits in KNOWN_ANSWERS
        )


class Unavailable(RuntimeError):
    """The kernel that was asked for cannot be had; says why."""


@functools.cache
def load(name: str = "auto", cache_folder: Path | None = None) -> Kernel:
    """The kernel "numba", "numpy", or "auto": numba's if numba is installed and allowed to compile.

    Its machine code is kept in `cache_folder`, by default `cache.default_folder()`. A kernel is loaded once
    in a program. Raises Unavailable.
    """
    if name == "numpy":
        return Kernel("numpy", reference.count, units_at_once=reference.UNITS_AT_ONCE)
    if importlib.util.find_spec("numba") is None:
        obstacle = "numba is not installed"
    elif os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        obstacle = "NUMBA_DISABLE_JIT is set"
    else:
        return _load_numba(cache_folder or cache.default_folder())
    if name == "numba":
        raise Unavailable(f"argument --kernel: 'numba': {obstacle}")
    return replace(load("numpy"), warning=f"{obstacle}: the NumPy kernel counts, slowly")


def _load_numba(folder: Path) -> Kernel:
    start = time.perf_counter()
    from mpi_pi import compiled  # which the NumPy kernel does without

    machine_code, source, warning = _machine_code(folder, f"{_sources()}\n{compiled.target()}")
    name, cpu, code = machine_code.split(b"\0", 2)
    return Kernel(
        name="numba",
        count=compiled.CompiledKernel(code, name.decode()),
        target=cpu.decode(),
        source=source,
        seconds=time.perf_counter() - start,
        warning=warning,
    )


def _machine_code(folder: Path, key: str) -> tuple[bytes, str, str]:
    """Name and code of the function; "cache" or "compiled"; and why the cache was not used, if so."""
    made = functools.cache(_compile)
    try:
        machine_code, found = cache.fetch(folder, key, made)
    except cache.Unusable as error:
        return made(), "compiled", f"{NO_CACHE}{error}"
    return machine_code, "cache" if found else "compiled", ""


def _compile() -> bytes:
    from mpi_pi import kernel  # and with it numba, which takes a third of a second

    code, name = kernel.object_code()
    return b"\0".join([name.encode(), kernel.cpu_name().encode(), code])


def _sources() -> str:
    """A fingerprint of what the machine code is made from, and of the versions of what makes it."""
    here = Path(__file__).parent
    names = ("job.py", "entropy.py", "streams.py", "vector.py", "kernel.py", "kernels.py")
    return hashlib.sha256(b"".join([(here / name).read_bytes() for name in names] + _versions())).hexdigest()


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

        return metadata.version(package).encode()
