"""Benchmarks: numbers that are measured, judged and stored; `report.bench` shows them.

median        median of repeated measurements, with a confidence interval
document      the document of a benchmark
noise         OS noise of all ranks
baselines     code that people write to count points in a circle
kernel        speed of the kernel and the baselines, on one core
published     runs of other programs
launched      launched commands: output, time, end
jobs          time of whole jobs
scaling       speed-up, efficiency and serial fraction from times of more and more ranks
rank_groups   groups of ranks that measure in turns, while the others sleep
rank_sweep    times of a job on more and more ranks
manager       time of rank 0's manager
round_model   model of a round's cost for more ranks than there are
rounds        cost of a round besides counting
pairing       schedules in which all pairs meet
network       latency and bandwidth over message sizes, and of all pairs
links         the worst pair, and matrices of pairs
comparison    changes from one benchmark to another
"""
