"""What a seed alone contributes to every stream of a job: NumPy's entropy pool, before the spawn key.

NumPy's SeedSequence (O'Neill, "Developing a seed_seq alternative", 2015; `numpy/random/bit_generator.pyx`)
hashes the words of the seed into a pool of four, then those of the spawn key, with a constant that changes
at every step. The pool after the seed is the same for all units of a job.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POOL_SIZE = 4
INIT_A, MULT_A = 0x43B0D7E5, 0x931E8875


class SeedPool(NamedTuple):
    """The pool after the words of a seed, uint32 (4,), and the hash constant that is next, below 2^32."""

    words: NDArray[np.uint32]
    constant: int


def seed_pool(seed: int) -> SeedPool:
    """The pool of `SeedSequence(seed, spawn_key=…)` when it comes to the spawn key; seed >= 0."""
    seed_words = -(-seed.bit_length() // 32)
    # The pool is filled, each word is mixed into the three others, and each further word into all four.
    steps = POOL_SIZE + POOL_SIZE * (POOL_SIZE - 1) + POOL_SIZE * max(seed_words - POOL_SIZE, 0)
    constant = INIT_A * pow(MULT_A, steps, 1 << 32) % (1 << 32)
    return SeedPool(np.random.SeedSequence(seed).pool, constant)
