"""Random points and hits: their definition, the compiled code that counts them, and the cache of that code.

layout          constants that the definition and the compiled code share
reference       the definition: the points of a unit and their hits, in plain NumPy
seed_pool       the part of the seeding that all streams of a job share
seed_sequence   the initial state of a unit from the seed pool, compiled
simd            steps of a unit as vector instructions
abi             arguments of the compiled function
count           the compiled function: hits of a range of units
elf             loading of object files into executable memory
machine_code    the compiled function in memory, called with a job and its units
code_cache      machine code kept between runs
known_answers   counts that a kernel has to repeat before it is trusted
loader          the kernel for this machine, with its self-test
"""
