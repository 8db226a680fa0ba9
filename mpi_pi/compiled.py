"""The compiled kernel: its machine code loaded by LLVM alone, and called as a function of (job, units).

Where the machine code is at hand, numba is not imported at all: that saves half a second and 90 MB a rank.
"""

import ctypes
import os

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from mpi_pi.entropy import POOL_SIZE, SeedPool, seed_pool
from mpi_pi.job import Job
from mpi_pi.reference import LANES

POINTER = ctypes.c_void_p
ARGUMENTS = (
    *(POINTER, POINTER),  # numba's own, see `kernel.object_code`
    *(POINTER, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64),
    *(ctypes.c_int64, ctypes.c_int64, POINTER, POINTER, POINTER),
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

    def __call__(self, job: Job, units: range) -> NDArray[np.int64]:
        """Hits of each unit, int64, in the order of `units`, a contiguous range."""
        pool = self._pool(job.seed)
        hits = np.empty(len(units), np.int64)
        unused = np.empty(2, np.uint64)
        pool_space = np.empty(POOL_SIZE, np.uint32)
        state_space = np.empty(4 * LANES, np.uint64)
        status = self._function(
            unused[0:].ctypes.data,
            unused[1:].ctypes.data,
            pool.words.ctypes.data,
            pool.constant,
            *job.trial_and_block(units.start),
            job.blocks,
            job.last_block,
            len(units),
            hits.ctypes.data,
            pool_space.ctypes.data,
            state_space.ctypes.data,
        )
        if status:
            raise RuntimeError(f"the compiled kernel returned {status}")
        return hits

    def _pool(self, seed: int) -> SeedPool:
        if self._seed_and_pool is None or self._seed_and_pool[0] != seed:
            self._seed_and_pool = seed, seed_pool(seed)
        return self._seed_and_pool[1]
