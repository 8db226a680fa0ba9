"""The compiled kernel: its machine code put into memory, and called as a function of (job, units).

Where that is at hand, neither numba nor LLVM is imported: it saves a rank half a second and more
than 100 MB.
"""

import ctypes
import functools
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_pi.kernel import abi, elf
from mpi_pi.kernel.layout import STATE_WORDS
from mpi_pi.kernel.reference import never
from mpi_pi.kernel.seed_pool import POOL_SIZE, SeedPool, seed_pool
from mpi_pi.model.job import Job

PIECE = 1 << 24
"""Points counted by one call at most, whole steps: 4 ms with AVX-512, some 40 on a Raspberry Pi."""

TELLING = {
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
    *("cpu", "isa", "uarch"),
}
"""Lines of /proc/cpuinfo: on x86, on Arm, elsewhere."""

LOOK_CHARACTERS = 1 << 16


def target() -> str:
    """Everything about the machine that the machine code depends on, numba's settings included."""
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_"))
    return "\n".join([platform.machine(), *_cpu_lines(), *settings])


def _cpu_lines(file: Path = Path("/proc/cpuinfo")) -> list[str]:
    """What Linux tells of the kind of the CPU and its features, of all kinds that there are here."""
    try:
        with file.open(errors="replace", encoding="utf-8") as lines:
            # On x86 all cores are alike; there may be hundreds, and Linux takes its time to tell of each.
            told = lines.read(LOOK_CHARACTERS)
    except OSError:
        return []
    whole = told[: told.rfind("\n") + 1]  # the last line may have been cut anywhere
    return sorted({line for line in whole.splitlines() if line.partition(":")[0].strip() in TELLING})


_seed_pool = functools.lru_cache(8)(seed_pool)  # of the job, and of the known answers


class CompiledKernel:
    """Counts the hits of units with the function `name` of an object file made by `kernel.object_code`.

    The global interpreter lock is released meanwhile. Raises RuntimeError if there is no such function, and
    OSError where the system allows no memory to be executed.
    """

    def __init__(self, code: bytes, name: str) -> None:
        self._keep, addresses = _loaded(code)
        address = addresses(name)
        if not address:
            raise RuntimeError(f"the machine code has no function {name}")
        self._function = abi.FUNCTION(address)

    def __call__(self, job: Job, units: range, stop: Callable[[], bool] = never) -> NDArray[np.int64]:
        """Hits of each unit, int64, in the order of `units`, a contiguous range.

        When `stop()` turns true the count ends soon, and the answer holds the units finished by then.
        """
        space = _Space(_seed_pool(job.seed))
        if job.unit_points(0) <= PIECE:
            hits = np.empty(len(units), np.int64)
            trial, block = job.trial_and_block(units.start)
            place = (trial, block, job.blocks, job.last_block)
            self._call(space, place, len(hits), hits.ctypes.data, fresh=True)
            return hits
        long: list[int] = []
        for unit in units:
            hits_of_unit = self._long_unit(space, job, unit, stop)
            if hits_of_unit is None:
                break
            long.append(hits_of_unit)
        return np.array(long, np.int64)

    def resume(self, state: NDArray[np.uint64], pieces: Sequence[int]) -> list[int]:
        """Hits of pieces of a unit that follow one another, the first from a state on, uint64 (4, 32).

        `pieces` holds the points of each. A state is advanced by whole steps alone.
        """
        # Seed, trial and block do not matter any more; but if by mistake they did, the hits would show it.
        space = _Space(_seed_pool(1))
        ctypes.memmove(space.state, state.tobytes(), ctypes.sizeof(space.state))
        return [self._piece(space, 1, 1, points, fresh=False) for points in pieces]

    def _long_unit(self, space: "_Space", job: Job, unit: int, stop: Callable[[], bool]) -> int | None:
        """Hits of a unit, a piece at a time, so that a slow CPU too looks up often; None if stopped."""
        trial, block = job.trial_and_block(unit)
        points, total = job.unit_points(unit), 0
        for start in range(0, points, PIECE):
            if stop():
                return None
            total += self._piece(space, trial, block, min(PIECE, points - start), fresh=start == 0)
        return total

    def _piece(self, space: "_Space", trial: int, block: int, points: int, fresh: bool) -> int:
        """Hits of a piece of a unit, its first one if fresh."""
        # As if the piece were the last block of its trial: of that the kernel is told the size.
        self._call(space, (trial, block, block + 1, points), 1, space.hits_address, fresh)
        return int(space.hits)

    def _call(
        self, space: "_Space", place: tuple[int, int, int, int], units: int, hits: int, fresh: bool
    ) -> None:
        """Fill the memory at the address `hits` for so many units, int64; see `abi.ARGUMENTS`.

        `place` says which: trial and block of the first one, blocks in a trial, points in the last block.
        """
        status = self._function(*space.first_arguments, *place, units, hits, *space.last_arguments, fresh)
        if status:
            raise RuntimeError(f"the compiled kernel returned {status}")


def _loaded(code: bytes) -> tuple[object, Callable[[str], int | None]]:
    """What keeps the code of an object file in memory, and what tells where a function is in it."""
    try:
        loaded = elf.ExecutableImage(elf.ObjectFile(code))
    except (elf.LinkError, OSError):
        return _loaded_by_llvm(code)
    return loaded, loaded.addresses.get


def _loaded_by_llvm(code: bytes) -> tuple[object, Callable[[str], int | None]]:
    """The same for what is not as we know it, at the price of LLVM. Raises OSError."""
    import llvmlite.binding as llvm

    llvm.check_jit_execution()  # where the system refuses it, LLVM would crash
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, engine.get_function_address


class _Space(ctypes.Structure):
    """Memory for one thread's calls, in one piece: NumPy takes a microsecond to tell where an array lies."""

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
        start = ctypes.addressof(self)
        unused = start + _Space.unused.offset
        self.first_arguments = (unused, unused, start + _Space.seed_words.offset, seed.constant)
        self.last_arguments = (start + _Space.pool.offset, start)
        self.hits_address = start + _Space.hits.offset
