"""The compiled kernel: its machine code loaded by LLVM alone, and called as a function of (job, units).

Where the machine code is at hand, numba is not imported at all: that saves half a second and 90 MB a rank.
"""

import ctypes
import os
from collections.abc import Callable

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from mpi_pi.entropy import POOL_SIZE, SeedPool, seed_pool
from mpi_pi.job import Job
from mpi_pi.reference import LANES, never

PIECE = 1 << 24
"""Points counted by one call at most, whole steps: 4 ms with AVX-512, some 40 on a Raspberry Pi."""

POINTER = ctypes.c_void_p
ARGUMENTS = (
    *(POINTER, POINTER),  # numba's own, see `kernel.object_code`
    *(POINTER, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64),
    *(ctypes.c_int64, ctypes.c_int64, POINTER, POINTER, POINTER, ctypes.c_int64),
)


def cpu_name() -> str:
    """LLVM's name for the CPU that is compiled for."""
    return os.environ.get("NUMBA_CPU_NAME") or str(llvm.get_host_cpu_name())


def target() -> str:
    """Everything about the machine that the machine code depends on, numba's settings included."""
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_"))
    features = llvm.get_host_cpu_features().flatten()
    return "\n".join([llvm.get_process_triple(), llvm.get_host_cpu_name(), features, *settings])


class CompiledKernel:
    """Counts the hits of units with the function `name` of an object file made by `kernel.object_code`.

    The global interpreter lock is released meanwhile. Raises RuntimeError if there is no such function.
    """

    def __init__(self, code: bytes, name: str) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        address = self._engine.get_function_address(name)
        if not address:
            raise RuntimeError(f"the machine code has no function {name}")
        self._function = ctypes.CFUNCTYPE(ctypes.c_int32, *ARGUMENTS)(address)
        self._seed_and_pool: tuple[int, SeedPool] | None = None

    def __call__(self, job: Job, units: range, stop: Callable[[], bool] = never) -> NDArray[np.int64]:
        """Hits of each unit, int64, in the order of `units`, a contiguous range.

        When `stop()` turns true the count ends soon, and the answer holds the units finished by then.
        """
        space = _Space(self._pool(job.seed))
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

    def _pool(self, seed: int) -> SeedPool:
        if self._seed_and_pool is None or self._seed_and_pool[0] != seed:
            self._seed_and_pool = seed, seed_pool(seed)
        return self._seed_and_pool[1]


class _Space:
    """Memory for one thread's calls."""

    def __init__(self, pool: SeedPool) -> None:
        self.pool = pool
        self.words = np.empty(POOL_SIZE, np.uint32)
        self.state = np.empty(4 * LANES, np.uint64)
        self.result, self.exception = np.empty(1, np.uint64), np.empty(1, np.uint64)
