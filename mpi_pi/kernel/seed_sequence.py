"""NumPy's SeedSequence from the spawn key on, compiled: from the seed pool to the state of a unit.

NumPy's own object takes 10-15 microseconds a unit, more than counting a trial of 10,000 points. Source of the
algorithm: see `seed_pool`. A test compares the states with NumPy's.
"""

import numba
import numpy as np

from mpi_pi.kernel.layout import STATE_WORDS
from mpi_pi.kernel.seed_pool import MIX_L, MIX_R, MULT_A, POOL_SIZE

OUTPUT_WORDS = 2 * STATE_WORDS
"""uint32 words that `generate_state` makes for a unit."""

INIT_B, MULT_B = 0x8B51F9DD, 0x58F38DED

u32, u64 = np.uint32, np.uint64
LOW_WORD = u64(0xFFFFFFFF)

# The hash constants of generate_state are the same for every unit. Those that meet the same word of the pool
# lie side by side, (4, 64), so that LLVM vectorises the loop, which makes it three times as fast.
_CONSTANTS = np.array(
    [INIT_B * pow(MULT_B, i, 1 << 32) % (1 << 32) for i in range(OUTPUT_WORDS + 1)], np.uint32
)
XORED, MULTIPLIED = (part.reshape(-1, POOL_SIZE).T.copy() for part in (_CONSTANTS[:-1], _CONSTANTS[1:]))

# numba widens uint32 arithmetic to 64 bits, hence the casts.


@numba.njit(inline="always")
def _mix_in(pool, constant, word):  # type: ignore[no-untyped-def]  # compiled: numba infers
    """Mix one word of entropy into the pool; return the hash constant four steps on."""
    for target in range(POOL_SIZE):
        value = u32(word ^ constant)
        constant = u32(constant * u32(MULT_A))
        value = u32(value * constant)
        value = u32(value ^ (value >> u32(16)))
        value = u32(u32(pool[target] * u32(MIX_L)) - u32(value * u32(MIX_R)))
        pool[target] = u32(value ^ (value >> u32(16)))
    return constant


@numba.njit(inline="always")
def unit_state(seed_words, constant, trial, block, pool, state):  # type: ignore[no-untyped-def]
    """Write the initial state of a unit to `state`, uint64 (128,).

    `trial` and `block` are uint64, below 2^64 and 2^32; `seed_words` and `constant` are those of a SeedPool;
    `pool`, uint32 (4,), is working memory. Arrays may be pointers.
    """
    for i in range(POOL_SIZE):
        pool[i] = seed_words[i]
    constant = _mix_in(pool, constant, u32(trial & LOW_WORD))
    if trial > LOW_WORD:
        constant = _mix_in(pool, constant, u32(trial >> u64(32)))
    _mix_in(pool, constant, u32(block))
    a, b, c, d = pool[0], pool[1], pool[2], pool[3]
    for i in range(OUTPUT_WORDS // POOL_SIZE):
        state[2 * i] = _output_pair(_output_word(a, 0, i), _output_word(b, 1, i))
        state[2 * i + 1] = _output_pair(_output_word(c, 2, i), _output_word(d, 3, i))


@numba.njit(inline="always")
def _output_word(word, place, i):  # type: ignore[no-untyped-def]
    value = u32(word ^ XORED[place, i])
    value = u32(value * MULTIPLIED[place, i])
    return u32(value ^ (value >> u32(16)))


@numba.njit(inline="always")
def _output_pair(low, high):  # type: ignore[no-untyped-def]
    return u64(low) | (u64(high) << u64(32))
