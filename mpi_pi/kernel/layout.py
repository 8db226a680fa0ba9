"""Constants that the definition, the compiled code and its callers share; free of NumPy and numba."""

LANES = 32
"""Generators side by side, each with a state of four uint64 words."""

STATE_WORDS = 4 * LANES
"""uint64 words in the state of a unit: state word by lane, row by row."""

POINTS_PER_STEP = 2 * LANES
"""Points of a step: two from each lane."""

MARGIN = 92684
"""Limit of |s - 2^30| up to which the high 16 bits of a point's coordinates leave open whether it hits.

Let x, y be those bits, signed, and s = x^2 + y^2. The point lies in the cell x … x + 1, y … y + 1, and hits
if it is less than 2^15 from the centre. All of the cell lies within sqrt(2) of its corner (x, y): from
sqrt(s) - sqrt(2) to sqrt(s) + sqrt(2) from the centre. So the point hits for certain if
sqrt(s) + sqrt(2) <= 2^15, that is s <= 2^30 - 92679.9, and misses for certain if sqrt(s) - sqrt(2) >= 2^15,
that is s >= 2^30 + 92683.9.
"""
