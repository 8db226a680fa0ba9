"""mpi_pi: estimate pi by throwing trials x points at a dartboard, on the ranks of an MPI job.

Of the points thrown at a square, the share pi / 4 hits the disc in it: `pi = 4 * hits / (trials * points)`.

A point belongs to (seed, trial, block), never to a rank, so the hits are the same to the last one on any
number of ranks and on any machine. The modules, from the bottom up:

    job         what is to be counted, cut into units
    reference   the definition of the random points, in plain NumPy
    entropy     what a seed contributes to every stream of a job
    streams     from that to the state of a unit's generators, compiled
    vector      many points in one instruction
    kernel      the hits of a range of units, compiled by numba
    known_answers counts that a kernel has to repeat
    linker      machine code put where it can run
    compiled    that of the kernel, loaded without numba and LLVM
    cache       where machine code is kept between runs
    kernels     the kernel for this machine, and its known answers
    binomial    how hits are distributed
    dispersion  whether units differ as much as they should
    goodness    whether their hits are spread as they should be
    tally       what has been counted so far, exactly
    estimate    from a tally to pi, and its error
    verdict     whether to believe it
    part        a part of a job, and how far it has got
    schedule    rounds, and who gets which units of a round
    crew        the threads of a rank
    result      what a run has found out
    words       numbers in words
    reading     files read whole: those of the system, and of users
    schema      whether a JSON document is what its schema says
    marks       when a process passed which point
    steps       where the time of rank 0 goes
    placement   how the ranks of a host sit on its cores
    libmpi      the MPI library that fits mpirun
    launcher    what mpirun or srun says of the job
    hydra       what is said to MPICH's mpirun
    slurm       what Slurm says of it
    srun        how srun has to be called for MPI
    waiting     waiting for other ranks without taking their core
    planner     who has counted what, and who counts what next
    bell        word of a stop that reaches all ranks
    pulse       signs of life, so that a silent host ends the job
    time_limit  a limit to the time that MPI_Init and MPI_Finalize take
    runtime     MPI from its start to its end: the only importer of mpi4py
    parallel    the job on many ranks
    report      a result as text for people and JSON for scripts
    results     a result as it was, from that JSON
    spread      repeated measurements: their median, and how sure that is
    sealed      JSON documents that carry a checksum
    files       files that appear whole or not at all
    lock        a lock between runs on any machines
    checkpoint  a part of a job on disk, to go on from
    merge       from the results of shards to that of the job
    trial_log   the hits of every trial
    imports     why a package cannot be imported, and what helps
    machine     a machine, and how it is just now
    versions    which differences of what is installed matter
    software    what is installed where a rank runs
    pingpong    latency and bandwidth between two ranks
    coordinator orders of rank 0, and who does not answer
    hosts       what ranks have told of their hosts
    fitness     from that to what is wrong, and what to do
    check_report that as text for people and JSON for scripts
    table       tables for people
    narrow      text for narrow terminals
    output      where a report goes
    progress    a progress bar
    hostfile    hosts, as mpirun reads them
    addresses   where their names lead to
    on_host     what is done on a host: its text is sent there
    remote      conversations with many hosts over ssh
    packing     wheels made of what is installed
    wheels      what they need, collected for machines other than this one
    deploy      the environment on all hosts
    check_hosts whether a job could start on all hosts
    clock       cycles per second of a core
    noise       how evenly the cores work
    rivals      what people write
    kernel_bench the kernel beside that, on one core
    published   runs that others have published
    job_bench   whole jobs beside those, from mpirun to prompt
    scaling     from times to speed-up, efficiency and serial fraction
    round_model what a round costs, on up to a million ranks
    ranks_bench scaling and rounds measured
    benchmark   all that as one document
    compare     what became faster or slower from one to another
    inputs      what files hold that a user names
    panel       a picture of one thing, and what all of them have in common
    plot_run    pictures of a run
    plot_timeline who did what when
    plot_bench  pictures of a benchmark
    plot        all in one figure, or one by one
    html_report all as a page
    arguments   the command line
    asking      questions to the user
    signals     signals that end a run in good order
    statuses    exit statuses
    console     the only printer
    session     one `mpi-pi run`
    checkup     one `mpi-pi check`
    bench       one `mpi-pi bench` on ranks
    bench_client the same where no launcher has started it
    cli         the command

    >>> from mpi4py import MPI
    >>> from mpi_pi import Job, run
    >>> run(Job(trials=1000, points=100_000, seed=1), MPI.COMM_WORLD).estimate.pi
    '3.14182796'
"""

from mpi_pi import timestamps  # noqa: F401  # the first thing to be done: it notes the time
from mpi_pi.version import __version__ as __version__

# As `typing` has it, of which `python -m mpi_pi` would take a file of that name in the present folder.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from mpi_pi.model.job import Job
    from mpi_pi.model.result import Result
    from mpi_pi.model.shard import Shard
    from mpi_pi.mpi.collectives import CollectiveError
    from mpi_pi.parallel.round_loop import Hooks, Round
    from mpi_pi.parallel.run import run

__all__ = ["CollectiveError", "Hooks", "Job", "Result", "Round", "Shard", "run"]

_HOMES = {
    "CollectiveError": "mpi.collectives",
    "Job": "model.job",
    "Result": "model.result",
    "Hooks": "parallel.round_loop",
    "Round": "parallel.round_loop",
    "Shard": "model.shard",
    "run": "parallel.run",
}


def __getattr__(name: str) -> object:
    """Import the public names when they are asked for: `mpi-pi --help` needs neither NumPy nor MPI."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"mpi_pi.{_HOMES[name]}"), name)
