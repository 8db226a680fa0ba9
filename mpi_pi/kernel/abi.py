"""Arguments of the compiled kernel: one table for numba, which compiles it, and ctypes, which calls it."""

import ctypes

ARGUMENTS = {
    "seed_words": "uint32*",  # words of the seed pool, (4,)
    "constant": "uint32",  # hash constant of the seed pool
    "trial": "uint64",  # of the first unit
    "block": "uint64",  # of the first unit
    "blocks": "uint64",  # in a trial
    "last_block": "int64",  # points in the last block of a trial
    "units": "int64",
    "hits": "int64*",  # of each unit, (units,), to be filled
    "pool": "uint32*",  # working memory, (4,)
    "state": "uint64*",  # working memory, (128,)
    "fresh": "int64",  # 0: the first unit continues from the state in the working memory
}
"""C type of each argument by its name, in order; `*` marks a pointer."""

_TYPES = [getattr(ctypes, "c_void_p" if kind.endswith("*") else f"c_{kind}") for kind in ARGUMENTS.values()]

FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *_TYPES)
"""Type of the compiled function, which returns a status, 0.

Ahead of its arguments come two pointers of numba's own, to a result and to an exception; neither is used.
"""
