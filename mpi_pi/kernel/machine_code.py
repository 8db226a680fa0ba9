"""The compiled kernel in memory, called with a job and its units.

Neither numba nor LLVM is imported for it, which saves a rank half a second and more than 100 MB.
"""

import ctypes
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_pi.errors import RunError
from mpi_pi.kernel import abi, elf
from mpi_pi.kernel.layout import STATE_WORDS
from mpi_pi.kernel.reference import never
from mpi_pi.kernel.seed_pool import POOL_SIZE, SeedPool, seed_pool
from mpi_pi.model.job import Job
from mpi_pi.system.cpu import cpuinfo

PIECE = 1 << 24
"""Points that one call counts at most, in whole steps: 4 ms with AVX-512, some 40 ms on a Raspberry Pi."""

CPUINFO_FIELDS = {
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),  # x86
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),  # Arm
    *("cpu", "isa", "uarch"),
}
"""Fields of /proc/cpuinfo that tell CPUs of different kinds apart."""

CPUINFO_BYTES = 1 << 16
"""Part of /proc/cpuinfo that is read: Linux takes long to describe hundreds of cores, on x86 all alike."""


def target() -> str:
    """Return everything about this host that the machine code depends on, numba's settings included."""
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_"))
    return "\n".join([platform.machine(), *cpu_lines(), *settings])


def cpu_lines(root: Path = Path("/")) -> list[str]:
    """Return the different lines of /proc/cpuinfo below `root` that tell the kinds and features of CPUs."""
    told = cpuinfo(root, CPUINFO_BYTES)
    return sorted({f"{name}: {value}" for name, value in told if name in CPUINFO_FIELDS})


class CompiledKernel:
    """Function `name` of an object file made by `count.object_code`.

    The global interpreter lock is released while it counts. Raises RunError if there is no such function, and
    OSError where the system allows no memory to be executed.
    """

    def __init__(self, code: bytes, name: str) -> None:
        self.image, address_of = _load(code)  # the image keeps the code in memory
        address = address_of(name)
        if not address:
            raise RunError(f"the machine code has no function {name}")
        self.function = abi.FUNCTION(address)

    def __call__(self, job: Job, units: range, stop: Callable[[], bool] = never) -> NDArray[np.int64]:
        """Return the hits of each unit, int64, in the order of `units`, a contiguous range.

        When `stop()` turns true the count ends soon, and the result holds the units finished by then. Units
        of at most PIECE points are all counted in one call, without a look at `stop`.
        """
        memory = _WorkingMemory(seed_pool(job.seed))
        if job.unit_points(0) <= PIECE:
            hits = np.empty(len(units), np.int64)
            place = (*job.trial_and_block(units.start), job.blocks, job.last_block)
            self._call(memory, place, len(hits), hits.ctypes.data, fresh=True)
            return hits
        finished: list[int] = []
        for unit in units:
            hits_of_unit = self._count_long_unit(memory, job, unit, stop)
            if hits_of_unit is None:
                break
            finished.append(hits_of_unit)
        return np.array(finished, np.int64)

    def resume(self, state: NDArray[np.uint64], pieces: Sequence[int]) -> list[int]:
        """Return the hits of consecutive pieces of a unit, the first from a state on, uint64 (4, 32).

        `pieces` holds the points of each. A piece advances the state by its whole steps alone.
        """
        # Seed, trial and block have no effect any more; if by a fault they had one, the hits would show it.
        memory = _WorkingMemory(seed_pool(1))
        ctypes.memmove(memory.state, state.tobytes(), ctypes.sizeof(memory.state))
        return [self._count_piece(memory, 1, 1, points, fresh=False) for points in pieces]

    def _count_long_unit(
        self, memory: "_WorkingMemory", job: Job, unit: int, stop: Callable[[], bool]
    ) -> int | None:
        """Return the hits of a unit, counted in pieces so that `stop` is polled often; None if stopped."""
        trial, block = job.trial_and_block(unit)
        points, hits = job.unit_points(unit), 0
        for start in range(0, points, PIECE):
            if stop():
                return None
            hits += self._count_piece(memory, trial, block, min(PIECE, points - start), fresh=start == 0)
        return hits

    def _count_piece(self, memory: "_WorkingMemory", trial: int, block: int, points: int, fresh: bool) -> int:
        """Return the hits of a piece of a unit; `fresh` for its first piece."""
        # As if the piece were the last block of its trial, whose size is an argument.
        self._call(memory, (trial, block, block + 1, points), 1, memory.hits_address, fresh)
        return int(memory.hits)

    def _call(
        self, memory: "_WorkingMemory", place: tuple[int, int, int, int], units: int, hits: int, fresh: bool
    ) -> None:
        """Call the function with `abi.ARGUMENTS`; `place` holds trial, block, blocks and last_block."""
        status = self.function(*memory.first_arguments, *place, units, hits, *memory.last_arguments, fresh)
        if status:
            raise RunError(f"the compiled kernel returned {status}")


def _load(code: bytes) -> tuple[object, Callable[[str], int | None]]:
    """Load an object file; return its owner, which keeps it in memory, and the function of its addresses."""
    try:
        image = elf.ExecutableImage(elf.ObjectFile(code))
    except (elf.LinkError, OSError):
        return _load_with_llvm(code)
    return image, image.addresses.get


def _load_with_llvm(code: bytes) -> tuple[object, Callable[[str], int | None]]:
    """Load an object file of a kind that `elf` does not know. Raises OSError."""
    import llvmlite.binding as llvm  # which takes 40 ms and 50 MB

    llvm.check_jit_execution()  # where the system refuses it, LLVM would crash
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, engine.get_function_address


class _WorkingMemory(ctypes.Structure):
    """Memory for the calls of one thread, in one piece: the address of a NumPy array costs a microsecond."""

    _fields_ = (
        ("state", ctypes.c_uint64 * STATE_WORDS),
        ("pool", ctypes.c_uint32 * POOL_SIZE),
        ("seed_words", ctypes.c_uint32 * POOL_SIZE),
        ("unused", ctypes.c_uint64),
        ("hits", ctypes.c_int64),
    )

    def __init__(self, seed: SeedPool) -> None:
        super().__init__()
        self.seed_words[:] = seed.words.tolist()
        start, fields = ctypes.addressof(self), type(self)
        unused = start + fields.unused.offset
        self.first_arguments = (unused, unused, start + fields.seed_words.offset, seed.constant)
        self.last_arguments = (start + fields.pool.offset, start)
        self.hits_address = start + fields.hits.offset
