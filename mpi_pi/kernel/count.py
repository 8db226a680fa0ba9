"""Count the hits of a range of units: compiled by numba to a piece of machine code that needs no numba."""

import os

import numba
import numpy as np
from llvmlite import binding as llvm
from numba import types
from numba.core.registry import cpu_target

from mpi_pi.kernel.seed_sequence import unit_state
from mpi_pi.kernel.simd import LANES, count_steps, high_bits, hit, low_bits
from mpi_pi.model.job import BLOCK

i64, u64 = np.int64, np.uint64
POINTS_PER_STEP = 2 * LANES

SIGNATURE = types.void(
    types.CPointer(types.uint32),  # words of the seed pool, (4,)
    types.uint32,  # constant of the seed pool
    types.uint64,  # trial and block of the first unit
    types.uint64,
    types.uint64,  # blocks in a trial
    types.int64,  # points in the last block
    types.int64,  # units
    types.CPointer(types.int64),  # hits, (units,), to be filled
    types.CPointer(types.uint32),  # working space, (4,)
    types.CPointer(types.uint64),  # working space, (128,)
    types.int64,  # 0 to go on with the first unit from the state in the working space
)


def _count_units(  # type: ignore[no-untyped-def]  # compiled by SIGNATURE
    seed_words, constant, trial, block, blocks, last_block, units, hits, pool, state, fresh
):
    for unit in range(units):
        if fresh or unit > 0:
            unit_state(seed_words, constant, trial, block, pool, state)
        block += u64(1)
        if block == blocks:
            hits[unit] = _count_points(state, last_block)
            trial, block = trial + u64(1), u64(0)
        else:
            hits[unit] = _count_points(state, i64(BLOCK))


@numba.njit(inline="always")
def _count_points(state, points):  # type: ignore[no-untyped-def]
    """Hits of the first `points` points that follow from a state, which is advanced."""
    steps = points // POINTS_PER_STEP
    hits = count_steps(state, steps)
    for point in range(points - steps * POINTS_PER_STEP):
        lane, place = point // 2, point % 2
        high = high_bits(state[lane], state[3 * LANES + lane])
        hits += hit(high, low_bits(state[LANES + lane]), place)
    return hits


def cpu_name() -> str:
    """LLVM's name for the CPU that is compiled for."""
    return os.environ.get("NUMBA_CPU_NAME") or str(llvm.get_host_cpu_name())


def object_code() -> tuple[bytes, str]:
    """Compile: an object file for this machine's CPU, and the name of the function in it.

    The function takes what numba puts before its arguments, two pointers (to a result, to an exception) of
    which `_count_units` uses neither, and returns a status, 0. It calls nothing but memset.
    """
    dispatcher = numba.njit(SIGNATURE, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(
        _count_units
    )
    (overload,) = dispatcher.overloads.values()
    (assembly,) = dispatcher.inspect_llvm().values()
    triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    if "vnni" in features:
        # LLVM keeps vpdpwssd, a vpmaddwd with the addition in it, from CPUs where it has the longer latency.
        # Here it is throughput that counts.
        features += ",+fast-dpwssd"
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=3, codemodel="jitdefault", jit=True
    )
    return machine.emit_object(llvm.parse_assembly(assembly)), overload.fndesc.llvm_func_name
