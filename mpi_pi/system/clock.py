"""Clock rate of a core, measured in cycles per second while it works.

What the system reports is not reliable: in a virtual machine the nominal rate; on a Raspberry Pi the rate
that was set, even if the firmware has lowered it since; for an idle core anything. So a chain of additions
and exclusive ors is timed, each of which needs the result of the one before. Each takes one cycle on every
x86 and every 64-bit ARM, and none can be left out or run in parallel.
"""

import ctypes
import functools
import time
from collections.abc import Callable

LINKS = 64
"""Pairs of operations in an iteration of the loop, whose own instructions run beside them."""

BURST_SECONDS = 3e-4
BURSTS = 15


def measured_hz() -> float | None:
    """Return the cycles per second of the core that this runs on; None where LLVM cannot make the chain.

    The measurement takes about 10 ms and is the fastest of several bursts, since interruptions make one
    slower. If the clock rate depends on the instructions, it may be another in vector code.
    """
    chain = compiled_chain()
    if chain is None:
        return None

    def seconds_of(turns: int) -> float:
        start = time.perf_counter()
        chain(turns, 1, 1)
        return time.perf_counter() - start

    turns, fastest = calibrated(seconds_of, 1, BURST_SECONDS, BURSTS)
    return 2 * LINKS * turns / fastest


def calibrated(
    seconds_of: Callable[[int], float], number: int, min_seconds: float, repeats: int = 3
) -> tuple[int, float]:
    """Double `number` until `seconds_of` it is at least `min_seconds`; return it and its time.

    The time is the shortest of `repeats`, lest an interrupted one be taken for long enough.
    """
    while (fastest := min(seconds_of(number) for _ in range(repeats))) < min_seconds:
        number *= 2
    return number, fastest


@functools.cache
def compiled_chain() -> Callable[[int, int, int], int] | None:
    """Return a function `chain(turns, p, q)`: from 1, turns * `LINKS` times `x = (x + p) ^ q` in 64 bits.

    None where there is no LLVM, or the system allows no memory to be executed.
    """
    try:
        import llvmlite.binding as llvm  # takes a while, and 32-bit systems have none

        llvm.check_jit_execution()
    except Exception:  # whatever a package raises that is broken
        return None
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_assembly()), machine)
    engine.finalize_object()
    prototype = ctypes.CFUNCTYPE(*[ctypes.c_uint64] * 4)
    function = prototype(engine.get_function_address("chain"))

    def chain(turns: int, p: int, q: int, _engine: object = engine) -> int:  # the engine owns the code
        return int(function(turns, p, q))

    return chain


def _assembly() -> str:
    """Return LLVM assembly of the chain, which LLVM cannot simplify because p and q are parameters."""
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
