"""mpi_pi: estimate pi from random points, on the ranks of an MPI job.

A random point of a square hits the disc in it with probability pi / 4: `pi = 4 * hits / (trials * points)`.

A point belongs to (seed, trial, block), never to a rank, so a seed gives exactly the same hits on any number
of ranks and on any machine. The packages; each may import those below it, and its `__init__` lists modules:

    cli       the command mpi-pi
    report    reports for people: text, pages, pictures
    bench     measurements: noise, kernels, jobs, scaling
    check     health of the hosts of a job
    burn_in   hosts under load: cores, sensors, hits
    cluster   hosts over ssh: deploy, check-hosts
    parallel  one job on many ranks: share, count, reduce
    storage   files: results, checkpoints, trial logs, merge
    mpi       MPI itself: start and end, exchanges, heartbeat
    kernel    random points and hits: definition and compiled code
    system    this process and this host
    model     what is counted, and what it says of pi

Beside the lowest one: `errors`, `findings`, `formatting`, `timestamps` and `version`.

    >>> from mpi4py import MPI
    >>> from mpi_pi import Job, run
    >>> run(Job(trials=1000, points=100_000, seed=1), MPI.COMM_WORLD).estimate.pi
    '3.14182796'
"""

from mpi_pi import timestamps  # noqa: F401  # first, since it records the time
from mpi_pi.version import __version__ as __version__

# Not from `typing`, since `python -m mpi_pi` would import a file of that name in the present folder.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from mpi_pi.model.job import Job
    from mpi_pi.model.result import Result
    from mpi_pi.model.shard import Shard
    from mpi_pi.mpi.collectives import CollectiveError
    from mpi_pi.parallel.hooks import Hooks, Round
    from mpi_pi.parallel.load_balancer import Tuning
    from mpi_pi.parallel.run import run

__all__ = ["CollectiveError", "Hooks", "Job", "Result", "Round", "Shard", "Tuning", "run"]

_HOMES = {
    "CollectiveError": "mpi.collectives",
    "Job": "model.job",
    "Result": "model.result",
    "Hooks": "parallel.hooks",
    "Round": "parallel.hooks",
    "Shard": "model.shard",
    "Tuning": "parallel.load_balancer",
    "run": "parallel.run",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is used: `mpi-pi --help` needs neither NumPy nor MPI."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"mpi_pi.{_HOMES[name]}"), name)
