"""Entropy pool of NumPy's SeedSequence after the seed, which all streams of a job have in common.

SeedSequence (O'Neill, "Developing a seed_seq alternative", 2015; `numpy/random/bit_generator.pyx`) hashes
the words of the seed into a pool of four words, then those of the spawn key, with a constant that changes at
every step. The first half is computed here, once a job, in Python's integers: importing numpy.random takes
longer than counting 10^7 points. A test compares it with NumPy's.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POOL_SIZE = 4
INIT_A, MULT_A = 0x43B0D7E5, 0x931E8875
MIX_L, MIX_R = 0xCA01F9DD, 0x4973F715
WORD = 0xFFFFFFFF


class SeedPool(NamedTuple):
    """State of the hash after the seed: the pool, uint32 (4,), and the next constant, below 2^32."""

    words: NDArray[np.uint32]
    constant: int


@functools.lru_cache(8)  # of the job, and of the known answers
def seed_pool(seed: int) -> SeedPool:
    """Return the state in which `SeedSequence(seed, spawn_key=…)` begins with the spawn key; seed >= 0."""
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
