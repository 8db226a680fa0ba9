"""Pictures of results, benchmarks and trial logs, drawn by matplotlib.

figure    figures of all panels or of each one, and their files; works without matplotlib up to the drawing
style     panels, colours and axes that all pictures share
run       the dartboard, convergence and trials of a run
timeline  the work of ranks or hosts over time
bench     kernels, whole jobs, scaling and rounds of a benchmark
"""
