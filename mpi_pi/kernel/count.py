"""The compiled kernel: numba makes an object file of it, whose machine code needs no numba."""

import os

import numba
import numpy as np
from llvmlite import binding as llvm
from numba import types
from numba.core.registry import cpu_target

from mpi_pi.kernel.abi import ARGUMENTS
from mpi_pi.kernel.layout import LANES, POINTS_PER_STEP
from mpi_pi.kernel.seed_sequence import unit_state
from mpi_pi.kernel.simd import count_steps, high_bits, hit, low_bits
from mpi_pi.model.job import BLOCK

i64, u64 = np.int64, np.uint64


def _numba_type(name: str) -> types.Type:
    kind = getattr(types, name.removesuffix("*"))
    return types.CPointer(kind) if name.endswith("*") else kind


SIGNATURE = types.void(*map(_numba_type, ARGUMENTS.values()))


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
    """Return the hits of the next `points` points of a state; advance it by the whole steps among them."""
    steps = points // POINTS_PER_STEP
    hits = count_steps(state, steps)
    for point in range(points - steps * POINTS_PER_STEP):
        lane, place = point // 2, point % 2
        high = high_bits(state[lane], state[3 * LANES + lane])
        hits += hit(high, low_bits(state[LANES + lane]), place)
    return hits


def cpu_name() -> str:
    """Return LLVM's name of the CPU that the code is compiled for."""
    return os.environ.get("NUMBA_CPU_NAME") or str(llvm.get_host_cpu_name())


def assembly() -> tuple[str, str]:
    """Return the kernel as LLVM assembly optimised for this host's CPU, and the name of its function."""
    compiled = numba.njit(SIGNATURE, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
    dispatcher = compiled(_count_units)
    (overload,) = dispatcher.overloads.values()
    (text,) = dispatcher.inspect_llvm().values()
    return text, overload.fndesc.llvm_func_name


def object_code() -> tuple[bytes, str]:
    """Return the kernel as an object file for this host's CPU, and the name of its function.

    The function is an `abi.FUNCTION` and calls nothing but memset.
    """
    text, name = assembly()
    triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    if "vnni" in features and llvm.llvm_version_info >= (15,):
        # LLVM avoids vpdpwssd, a vpmaddwd with an addition, on CPUs where its latency is longer; here
        # throughput counts. LLVM 14 would only print that it does not know the word.
        features += ",+fast-dpwssd"
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=3, codemodel="jitdefault", jit=True
    )
    return machine.emit_object(llvm.parse_assembly(text)), name
