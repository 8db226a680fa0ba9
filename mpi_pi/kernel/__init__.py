"""Random points and hits: their definition, the compiled code that counts them, and the cache of that code.

layout          constants that the definition and the compiled code share
reference       the definition: which points a unit has and which of them hit, in plain NumPy
seed_pool       what a seed contributes to all streams of a job
seed_sequence   from the seed pool to the initial state of a unit, compiled
simd            steps of a unit as vector instructions
abi             arguments of the compiled function
count           the compiled function: hits of a range of units
elf             loading of object files into executable memory
machine_code    the compiled function as a function of a job and its units
code_cache      machine code kept between runs
known_answers   counts that a kernel has to repeat before it is trusted
loader          the kernel for this machine, with its self-test
"""
