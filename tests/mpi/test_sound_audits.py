"""Audited runs of sound ranks, drawn at random: none is taken for wrong. They need mpirun, see run_all.py."""

import os
import random
import signal
from collections import Counter

import pytest
from mpi4py import MPI

from mpi_pi import Hooks, Job, Round, run
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.audit import Audit
from mpi_pi.model.result import Result
from mpi_pi.model.shard import Shard
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.parallel.load_balancer import Tuning
from mpi_pi.storage import checkpoint

COMM = MPI.COMM_WORLD

JOBS = 1000 if os.environ.get("MPI_PI_SOAK") else 10


def a_run(draw: random.Random, work: Job | Shard, kernel: Kernel, stops: bool) -> Result | None:
    """Return the result of an audited run, which may be stopped, on the first ranks, so many of them.

    It is None on other ranks. Raise AssertionError if the audit has found anything.
    """
    size = draw.randint(2, COMM.size)
    share = draw.choice([1.0, draw.uniform(0.001, 1), 0.01])
    tuning = Tuning(
        first_points=draw.randint(1, 50_000),
        round_nanoseconds=int(10 ** draw.uniform(4.5, 6.5)),
        wait_factor=0,
        min_nanoseconds=1,
        max_units=draw.choice([None, draw.randint(5, 50)]),
        audit=share,
    )
    threads, last, who = draw.choice([1, 1, 2]), draw.randint(0, 9), draw.randrange(size)
    stop = StopRequest()

    def on_round(round_: Round) -> None:
        if stops and round_.number == last and COMM.rank == who:
            stop.request(signal.SIGUSR1)

    if COMM.rank >= size:
        return None
    comm = COMM.Create_group(COMM.group.Incl(range(size)))
    hooks = Hooks(on_round=on_round, stop=stop)
    result = run(work, comm, kernel=kernel, threads=threads, hooks=hooks, tuning=tuning)
    comm.Free()
    assert result.audit == Audit(share)
    return result


def outcome(seed: int, kernel: Kernel) -> str:
    """Count a job in one or several runs; return how many. Raise AssertionError if its hits are wrong."""
    draw = random.Random(seed)
    job = Job(int(2 ** draw.uniform(0, 9)), int(2 ** draw.uniform(0, 15)), draw.getrandbits(64))
    hits = kernel.count(job, range(job.units))
    shard = Shard(job)
    for runs in range(1, 5):
        result = a_run(draw, shard, kernel, stops=runs < 4 and draw.random() < 0.3)
        text = COMM.bcast(checkpoint.dumps(result.shard) if result else None)
        shard = checkpoint.loads(text.encode())
        assert shard.tally.hits == hits[: shard.tally.units].sum()
        assert shard.proven.hits == hits[: shard.proven.units].sum()
        if result and result.audit and result.audit.share == 1 and not result.partial and runs == 1:
            assert shard.proven.units == job.units
        if shard.complete:
            return f"{runs} {'run' if runs == 1 else 'runs'}"
    raise AssertionError("the job is not complete")


@pytest.mark.timeout(3600)
@pytest.mark.mpi(min_size=2)
def test_sound_ranks_are_not_taken_for_wrong(compiled: Kernel) -> None:
    outcomes = Counter(outcome(seed, compiled) for seed in range(JOBS))
    assert outcomes.total() == JOBS
    if COMM.rank == 0:
        print(dict(outcomes))
