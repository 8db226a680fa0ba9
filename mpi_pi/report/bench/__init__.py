"""Reports on a benchmark, as blocks.

numbers      measured numbers as text
noise, kernel, jobs, scaling, network, rounds   a section each, of a module of `bench`
document     the report on a benchmark
comparison   the report on two benchmarks
"""
