"""The compiled kernel: its machine code put into memory, and called as a function of (job, units).

Where that is at hand, neither numba nor LLVM is imported: it saves a rank half a second and more
than 100 MB.
"""

import ctypes
import functools
import os
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_pi import linker
from mpi_pi.entropy import POOL_SIZE, SeedPool, seed_pool
from mpi_pi.job import Job
from mpi_pi.reference import LANES, never

PIECE = 1 << 24
"""Points counted by one call at most, whole steps: 4 ms with AVX-512, some 40 on a Raspberry Pi."""

TELLING = {
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
    *("cpu", "isa", "uarch"),
}
"""Lines of /proc/cpuinfo: on x86, on Arm, elsewhere."""

LOOK_CHARACTERS = 1 << 16

POINTER = ctypes.c_void_p
ARGUMENTS = (
    *(POINTER, POINTER),  # numba's own, see `kernel.object_code`
    *(POINTER, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64),
    *(ctypes.c_int64, ctypes.c_int64, POINTER, POINTER, POINTER, ctypes.c_int64),
)


def target() -> str:
    """Everything about the machine that the machine code depends on, numba's settings included."""
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_"))
    return "\n".join([platform.machine(), *_cpu_lines(), *settings])


def _cpu_lines(file: Path = Path("/proc/cpuinfo")) -> list[str]:
    """What Linux tells of the kind of the CPU and its features, of all kinds that there are here."""
    try:
        with file.open() as lines:
            # On x86 all cores are alike; there may be hundreds, and Linux takes its time to tell of each.
            told = lines.read(LOOK_CHARACTERS)
    except OSError:
        return []
    whole = told[: told.rfind("\n") + 1]  # the last line may have been cut anywhere
    return sorted({line for line in whole.splitlines() if line.partition(":")[0].strip() in TELLING})


_seed_pool = functools.lru_cache(8)(seed_pool)  # of the job, and of the known answers


class CompiledKernel:
    """Counts the hits of units with the function `name` of an object file made by `kernel.object_code`.

    The global interpreter lock is released meanwhile. Raises RuntimeError if there is no such function.
    """

    def __init__(self, code: bytes, name: str) -> None:
        self._keep, addresses = _loaded(code)
        address = addresses(name)
        if not address:
            raise RuntimeError(f"the machine code has no function {name}")
        self._function = ctypes.CFUNCTYPE(ctypes.c_int32, *ARGUMENTS)(address)

    def __call__(self, job: Job, units: range, stop: Callable[[], bool] = never) -> NDArray[np.int64]:
        """Hits of each unit, int64, in the order of `units`, a contiguous range.

        When `stop()` turns true the count ends soon, and the answer holds the units finished by then.
        """
        space = _Space(_seed_pool(job.seed))
        if job.unit_points(0) <= PIECE:
            hits = np.empty(len(units), np.int64)
            trial, block = job.trial_and_block(units.start)
            self._call(space, trial, block, job.blocks, job.last_block, hits, fresh=True)
            return hits
        long: list[int] = []
        for unit in units:
            hits_of_unit = self._long_unit(space, job, unit, stop)
            if hits_of_unit is None:
                break
            long.append(hits_of_unit)
        return np.array(long, np.int64)

    def _long_unit(self, space: "_Space", job: Job, unit: int, stop: Callable[[], bool]) -> int | None:
        """Hits of a unit, a piece at a time, so that a slow CPU too looks up often; None if stopped."""
        trial, block = job.trial_and_block(unit)
        points, total = job.unit_points(unit), 0
        hits = np.empty(1, np.int64)
        for start in range(0, points, PIECE):
            if stop():
                return None
            # As if the piece were the last block of its trial: of that the kernel is told the size.
            piece = min(PIECE, points - start)
            self._call(space, trial, block, block + 1, piece, hits, fresh=start == 0)
            total += int(hits[0])
        return total

    def _call(
        self,
        space: "_Space",
        trial: int,
        block: int,
        blocks: int,
        last_block: int,
        hits: NDArray[np.int64],
        fresh: bool,
    ) -> None:
        """Fill `hits` for the units from (trial, block) on; see `kernel.SIGNATURE`."""
        status = self._function(
            space.result.ctypes.data,
            space.exception.ctypes.data,
            space.pool.words.ctypes.data,
            space.pool.constant,
            trial,
            block,
            blocks,
            last_block,
            len(hits),
            hits.ctypes.data,
            space.words.ctypes.data,
            space.state.ctypes.data,
            fresh,
        )
        if status:
            raise RuntimeError(f"the compiled kernel returned {status}")


def _loaded(code: bytes) -> tuple[object, Callable[[str], int | None]]:
    """What keeps the code of an object file in memory, and what tells where a function is in it."""
    try:
        loaded = linker.Loaded(linker.Program(code))
    except (linker.Unlinkable, OSError):
        return _loaded_by_llvm(code)
    return loaded, loaded.addresses.get


def _loaded_by_llvm(code: bytes) -> tuple[object, Callable[[str], int | None]]:
    """The same for what is not as we know it, at the price of LLVM."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, engine.get_function_address


class _Space:
    """Memory for one thread's calls."""

    def __init__(self, pool: SeedPool) -> None:
        self.pool = pool
        self.words = np.empty(POOL_SIZE, np.uint32)
        self.state = np.empty(4 * LANES, np.uint64)
        self.result, self.exception = np.empty(1, np.uint64), np.empty(1, np.uint64)
