"""Texts of `--help`."""

SUMMARY = "estimate pi from random points on the ranks of an MPI job"

DESCRIPTION = """\
Estimate pi from random points, M trials of N points each, counted on all ranks of an MPI job. The same seed
gives exactly the same hits on any number of ranks and on any machine."""

BENCH = (
    "measure how fast the cores are, and how the job scales",
    """\
Measure the speed of each core, the scaling of the job, and other programs for comparison. Each value is a
median with a 95 % interval; "lost in noise" replaces a value whose interval is too wide.""",
    """\
Called directly, this command starts mpirun where ranks are needed: on all cores of this machine, or as
--launcher says. Called by mpirun or srun, it measures on those ranks; then the part "job" is left out, since
its times begin with the start of mpirun.

  mpi-pi bench all --json bench.json
  mpi-pi bench all --launcher 'mpirun -hostfile hostfiles/octapi.hosts'
  mpirun -hostfile hostfiles/octapi.hosts mpi-pi bench scaling --full""",
)

BENCH_PARTS = {
    "all": "all parts",
    "noise": "how evenly the cores work",
    "kernel": "speed of one core, beside other ways to write this program",
    "job": "wall time of the Flame job, with --full also of the OctaPi job, beside the published runs",
    "scaling": "strong and weak scaling over 1, 2, 4 … ranks, or hosts if there are several",
    "latency": "latency and bandwidth of the network, and the cost of a round on more and more ranks",
}
"""Summary of each part of a benchmark."""

COMPARE = (
    "compare two benchmarks",
    "List what became faster or slower from one benchmark to another, beyond the noise of both.",
    """\
exit status: 0 nothing became slower, 1 something did (or nothing could be printed), 2 not comparable

  mpi-pi bench compare before.json after.json""",
)

COMMANDS: dict[str, tuple[str, str, str | None]] = {
    "run": (
        "estimate pi",
        DESCRIPTION,
        """\
numbers may be written as 100000, 100_000, 1e5, 100k, 10M or 2G; times as 90, 90s, 55m, 1.5h, 2d or 1:30:00

exit status: 0 verified, 1 failed while running, 2 bad usage, 3 finished but not verified; if stopped before
the end: 75 with a checkpoint (run it again), without one 124 after --time-limit, or 128 + the signal's number

  mpirun -n 2 mpi-pi run -i 100000 -n 1000
  mpirun -hostfile hostfiles/octapi.hosts mpi-pi run --ask
  srun --mpi=pmix mpi-pi run -n 1M -i 10k --seed 1 --json result.json       (MPICH: --mpi=pmi2)
  srun --mpi=pmix mpi-pi run -n 1G -i 1M --checkpoint pi.ckpt --time-limit slurm""",
    ),
    "check": (
        "examine the hosts of a cluster",
        """\
Examine every host of the job: its hardware, what is installed there, how fast it counts, and how well it is
connected. Report whether the cluster is fit, with a remedy for each problem.""",
        """\
exit status: 0 fit, 1 not; with --node also 75: could not be examined

  mpirun -hostfile hostfiles/octapi.hosts mpi-pi check --json good-day.json
  mpirun -hostfile hostfiles/octapi.hosts mpi-pi check --baseline good-day.json
  mpi-pi check --node""",
    ),
    "burn-in": (
        "put the hosts of a cluster under load, and find cores that count wrongly or slowly",
        """\
Let all cores count for TIME: together, then one core of each host at a time, at its highest clock, then on
and off every second. Every unit is counted again by another rank, which shows cores that compute wrongly.
Meanwhile, watch the rate of each core, and clock, temperature, power, throttling and memory errors of each
host, as far as Linux reports them. List the hosts, worst first, with a remedy for each problem.""",
        """\
Start a rank for each core, so that each core is judged.

exit status: 0 passed, 1 a core was wrong, slow or throttled (or the command failed), 2 bad usage, 128 + the
signal's number if a signal stopped it before a fault was found

  mpirun -hostfile hostfiles/octapi.hosts mpi-pi burn-in 24h --json burn-in.json
  srun --mpi=pmix mpi-pi burn-in 10m                                        (MPICH: --mpi=pmi2)""",
    ),
    "merge": (
        "merge the results of shards",
        "Merge the results of all shards of a job, each written by mpi-pi run --shard K/N --json FILE.",
        None,
    ),
    "bench": BENCH,
    "plot": (
        "draw pictures of results, benchmarks and burn-ins",
        """\
Draw the contents of files. Of a result (mpi-pi run --json): points on the dartboard, convergence, and the
activity of each rank or host; with the trial log of the run, also the distribution of its trials. Of a
benchmark: scaling, kernels, jobs and rounds. Of a burn-in: rate and temperature of each host over time.""",
        None,
    ),
    "report": (
        "make an HTML page of results, benchmarks and burn-ins",
        """\
Make one HTML page of results, trial logs, benchmarks and burn-ins, with their tables and pictures. The page
needs no network.""",
        None,
    ),
    "keep-running": (
        "start a job again whenever it fails, on the hosts that are left",
        """\
Start the command, mpirun … mpi-pi run … --checkpoint FILE, and start it again until its result is complete
and verified. Each start goes on where the last one ended, on the hosts of the hostfile that answer to ssh;
processes that it has left there are ended. A signal is passed on to the job, which is not started again.""",
        """\
exit status: that of mpi-pi run; if given up, 75 if points are saved (run it again), or else 1

  mpi-pi keep-running -- mpirun -hostfile hostfiles/octapi.hosts mpi-pi run -n 1M -i 10k --checkpoint pi.c""",
    ),
    "check-hosts": (
        "test whether a job could start on all hosts",
        """\
Test from here, without MPI, whether a job could start on every host of a hostfile: name, ssh, program, MPI
and TCP ports. Print a remedy for each problem.""",
        None,
    ),
    "deploy": (
        "install this environment on all hosts",
        """\
Install the environment of this command on every host of a hostfile, over ssh, at the same path. The hosts
need Python 3.11 or newer and sshd, but no internet.""",
        None,
    ),
    "wheelhouse": (
        "pack all that machines without internet need",
        """\
Pack mpi_pi with all packages that it needs, for several kinds of machines and versions of Python, into one
archive. Where it is unpacked, make run and make deploy need no internet.""",
        """\
  mpi-pi wheelhouse
  mpi-pi wheelhouse --python 3.11 --machine aarch64 -o raspberry-pi.tar""",
    ),
    "examples": (
        "write the job scripts and hostfiles that come with this program",
        """\
Write the folders jobscripts and hostfiles to DIR. Job scripts are submitted from there, after the lines that
the site requires, such as that of the account, have been edited.""",
        """\
  mpi-pi examples my-jobs
  cd my-jobs && sbatch jobscripts/single-node.sbatch""",
    ),
    "help": (
        "show help, or make a manual page or completion for a shell",
        """\
Print the same as mpi-pi COMMAND [PART] --help; or, for all commands, the manual page, or a script by which a
shell completes commands, options, choices and files.""",
        """\
Completion needs shtab to be made (pip install shtab), but not to be used.

  mpi-pi help bench kernel
  mpi-pi help --man | man -l -
  mpi-pi help --completion bash >~/.local/share/bash-completion/completions/mpi-pi
  mpi-pi help --completion zsh >~/.zfunc/_mpi-pi               (with ~/.zfunc in $fpath, before compinit)""",
    ),
}
"""Summary, description and epilog of each command."""
