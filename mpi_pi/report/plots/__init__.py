"""Pictures of results, benchmarks and trial logs, drawn by matplotlib.

figure     a figure of all pictures, or of each one, written to a file; imports matplotlib only to draw
style      panels, colours and axes that all pictures share
run        the dartboard, convergence and trials of a run
timeline   the work of ranks or hosts over time
row_times  how they spent their time, in numbers
bench      kernels, whole jobs, scaling and rounds of a benchmark
network    its links over message sizes, and maps of all pairs
burn_in    rate and temperature of hosts over time
burn_in_series  the numbers of these
"""
