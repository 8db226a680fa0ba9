"""Texts of `--help`."""

DESCRIPTION = """\
Estimate pi by throwing points at a dartboard: M trials of N points each, on all ranks of an MPI job.
The same seed gives the same hits, to the last one, on any number of ranks and on any machine."""

EXAMPLES = """\
numbers: 100000, 100_000, 1e5, 100k, 10M and 2G are understood; times: 90, 90s, 55m, 1.5h, 2d and 1:30:00

exit status: 0 verified, 1 failed while running, 2 bad usage, 3 finished but not verified; stopped before the
end: 75 with a checkpoint (run it again), without one 128 + the signal's number, or 124 by --time-limit

  mpirun -n 2 mpi-pi run -i 100000 -n 1000
  mpirun -hostfile hostfiles/octapi.hosts mpi-pi run --ask
  srun --mpi=pmix mpi-pi run -n 1M -i 10k --seed 1 --json result.json       (MPICH: --mpi=pmi2)
  srun --mpi=pmix mpi-pi run -n 1G -i 1M --checkpoint pi.ckpt --time-limit slurm"""

CHECK_DESCRIPTION = """\
Examine every host of the job, and say whether the cluster is fit: what the hosts are, what is installed
there, how fast they count and how well they are connected. Of all that is wrong it says what to do."""

CHECK_EPILOG = """\
exit status: 0 fit, 1 not

  mpirun -hostfile hostfiles/octapi.hosts mpi-pi check"""

MERGE_DESCRIPTION = """\
Put together what the shards of a job have counted: what mpi-pi run --shard K/N --json FILE wrote of each."""

DEPLOY_DESCRIPTION = """\
Install the environment that this command belongs to on every host of a hostfile, over ssh, at the same path.
The hosts need Python 3.11 or newer and sshd, and no way to the internet."""

CHECK_HOSTS_DESCRIPTION = """\
See from here, without MPI, whether a job could start on every host of a hostfile: name, ssh, program, MPI and
TCP ports. Of all that is wrong it says what to do."""

BENCH_DESCRIPTION = """\
How fast each core is, how the job scales, and how that compares with what could have been used instead.
Each measurement is repeated, and has an interval; what the machine's noise has drowned is said to be lost."""

BENCH_EPILOG = """\
Started by itself it starts mpirun where ranks are needed, on all cores of this machine or as --launcher says.
Started by mpirun or srun it measures on those ranks, all but the job, which is timed from mpirun to prompt.

  mpi-pi bench all --json bench.json
  mpi-pi bench all --launcher 'mpirun -hostfile hostfiles/octapi.hosts'
  mpirun -hostfile hostfiles/octapi.hosts mpi-pi bench scaling --full"""

BENCH_PARTS = {
    "all": "all of these",
    "noise": "how evenly the cores work",
    "kernel": "one core, beside what people write",
    "job": "the Flame job from mpirun to prompt, and in full the OctaPi job, beside the published runs",
    "scaling": "strong and weak scaling over 1, 2, 4 … ranks, or hosts if there are several",
    "latency": "what a round costs, and from how many ranks on it would matter",
}

COMPARE_DESCRIPTION = """\
What became faster or slower from one benchmark to another, beyond the noise of both."""

COMPARE_EPILOG = """\
exit status: 0 nothing is slower, 1 something is (or nothing could be printed), 2 not comparable

  mpi-pi bench compare before.json after.json"""

PLOT_DESCRIPTION = """\
Draw what files hold. A result of mpi-pi run --json: dartboard, convergence, and what each rank or host did
when; with the run's trial log a histogram of its trials. A benchmark: scaling, kernels, jobs, rounds."""

REPORT_DESCRIPTION = """\
Make one HTML page of results, trial logs and benchmarks: their tables and pictures. It needs no network."""

COMPARE = (COMPARE_DESCRIPTION, COMPARE_EPILOG)

COMMANDS = {
    "run": ("estimate pi (mpi-pi run --help tells how)", DESCRIPTION, EXAMPLES),
    "check": ("examine the hosts of a cluster", CHECK_DESCRIPTION, CHECK_EPILOG),
    "merge": ("put the results of shards together", MERGE_DESCRIPTION),
    "bench": ("how fast, and how well it scales", BENCH_DESCRIPTION, BENCH_EPILOG),
    "plot": ("draw pictures of results and benchmarks", PLOT_DESCRIPTION),
    "report": ("make an HTML page of results and benchmarks", REPORT_DESCRIPTION),
    "check-hosts": ("see whether a job could start on all hosts", CHECK_HOSTS_DESCRIPTION),
    "deploy": ("install this environment on all hosts", DEPLOY_DESCRIPTION),
}
"""Summary, description and epilog of each command."""
