"""The clock of a core, measured: how many cycles it makes in a second while it works.

What the system says of the clock is not to be relied on. In a virtual machine it is the nominal rate,
whatever the core does; on a Raspberry Pi what the clock was set to, whether or not the firmware has lowered
it since; and of an idle core it may be anything. So a chain of additions and exclusive ors is timed, each of
which needs the result of the one before. Either takes one cycle on every x86 and every 64-bit ARM, and
nothing can be left out or done side by side.
"""

import ctypes
import functools
import time
from collections.abc import Callable

LINKS = 64
"""Pairs of an addition and an exclusive or in a turn of the loop, whose own instructions hide beside them."""

BURST_SECONDS = 3e-4
BURSTS = 15


def measured_hz() -> float | None:
    """Cycles per second of the core that this runs on; None where LLVM cannot make the chain.

    It takes 5 ms, and is the best of several bursts: whatever interrupts one makes it slower. A core whose
    clock depends on the instructions that it is given may have another one in vector code.
    """
    chain = compiled_chain()
    if chain is None:
        return None
    turns = 1
    while _seconds(chain, turns) < BURST_SECONDS:
        turns *= 2
    return 2 * LINKS * turns / min(_seconds(chain, turns) for _ in range(BURSTS))


def _seconds(chain: Callable[[int, int, int], int], turns: int) -> float:
    start = time.perf_counter()
    chain(turns, 1, 1)
    return time.perf_counter() - start


@functools.cache
def compiled_chain() -> Callable[[int, int, int], int] | None:
    """`chain(turns, p, q)`: `x = (x + p) ^ q`, in 64 bits, turns times `LINKS` times over, from 1 on.

    None where there is no LLVM, or the system allows no memory to be executed.
    """
    try:
        import llvmlite.binding as llvm

        llvm.check_jit_execution()
    except Exception:  # whatever a package raises that is broken
        return None
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_assembly()), machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64)(
        engine.get_function_address("chain")
    )

    def chain(turns: int, p: int, q: int, _engine: object = engine) -> int:  # which owns the code
        return int(function(turns, p, q))

    return chain


def _assembly() -> str:
    """For LLVM, which cannot simplify the chain without knowing p and q."""
    links = "\n".join(
        f"  %sum{i} = add i64 %x{i}, %p\n  %x{i + 1} = xor i64 %sum{i}, %q" for i in range(LINKS)
    )
    return f"""
define i64 @chain(i64 %turns, i64 %p, i64 %q) {{
start:
  br label %turn
turn:
  %left = phi i64 [ %turns, %start ], [ %fewer, %turn ]
  %x0 = phi i64 [ 1, %start ], [ %x{LINKS}, %turn ]
{links}
  %fewer = sub i64 %left, 1
  %over = icmp eq i64 %fewer, 0
  br i1 %over, label %end, label %turn
end:
  ret i64 %x{LINKS}
}}
"""
