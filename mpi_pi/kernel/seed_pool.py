"""What a seed alone contributes to every stream of a job: NumPy's entropy pool, before the spawn key.

NumPy's SeedSequence (O'Neill, "Developing a seed_seq alternative", 2015; `numpy/random/bit_generator.pyx`)
hashes the words of the seed into a pool of four, then those of the spawn key, with a constant that changes
at every step. The pool after the seed is the same for all units of a job. It is computed here in Python's
integers, because importing numpy.random takes longer than counting 10^7 points; a test holds it to NumPy's.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POOL_SIZE = 4
INIT_A, MULT_A = 0x43B0D7E5, 0x931E8875
MIX_L, MIX_R = 0xCA01F9DD, 0x4973F715
WORD = 0xFFFFFFFF


class SeedPool(NamedTuple):
    """The pool after the words of a seed, uint32 (4,), and the hash constant that is next, below 2^32."""

    words: NDArray[np.uint32]
    constant: int


def seed_pool(seed: int) -> SeedPool:
    """The pool of `SeedSequence(seed, spawn_key=…)` when it comes to the spawn key; seed >= 0."""
    words = [seed >> bit & WORD for bit in range(0, max(seed.bit_length(), 32 * POOL_SIZE), 32)]
    constant = INIT_A

    def hashed(word: int) -> int:
        nonlocal constant
        word ^= constant
        constant = constant * MULT_A & WORD
        word = word * constant & WORD
        return word ^ word >> 16

    def mixed(word: int, other: int) -> int:
        word = (word * MIX_L - other * MIX_R) & WORD
        return word ^ word >> 16

    pool = [hashed(word) for word in words[:POOL_SIZE]]
    for source in range(POOL_SIZE):
        for target in range(POOL_SIZE):
            if source != target:
                pool[target] = mixed(pool[target], hashed(pool[source]))
    for word in words[POOL_SIZE:]:
        for target in range(POOL_SIZE):
            pool[target] = mixed(pool[target], hashed(word))
    return SeedPool(np.array(pool, np.uint32), constant)
