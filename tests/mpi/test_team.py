"""The handshake of all ranks before the first unit."""

import re
from collections import Counter
from typing import Any

import pytest
from mpi4py import MPI

from mpi_pi import CollectiveError, Job, run
from mpi_pi.errors import UserError
from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.kernel.reference import count
from mpi_pi.model.shard import Shard
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.runtime import host_name, may_use_threads
from mpi_pi.parallel.team import Plan, Request, Team, assemble

COMM = MPI.COMM_WORLD
JOB = Job(trials=600, points=10_001, seed=3)

NAMES = re.compile(
    r"\w*(barrier|bcast|gather|scatter|reduce|alltoall|scan)\w*|I?(Dup|Split|Create|Clone)\w*", re.I
)
COLLECTIVES = {name for name in dir(MPI.Intracomm) if NAMES.fullmatch(name)}


class Counting:
    """A communicator that counts the collective operations which are called on it."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self.comm, self.calls, self.before_counting = comm, Counter[str](), -1

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.comm, name)
        if name not in COLLECTIVES:
            return value

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return value(*args, **kwargs)

        return counted


def test_first_unit_comes_after_at_most_10_collectives() -> None:
    comm = Counting(COMM)

    def counting(job: Job, units: range, stop: Any = None) -> Any:
        if job == JOB and comm.before_counting < 0:
            comm.before_counting = comm.calls.total()
        return count(job, units, stop) if stop else count(job, units)

    assert run(JOB, comm, kernel=Kernel("numpy", counting)).verified  # type: ignore[arg-type]
    assert 3 <= comm.before_counting <= 10, comm.calls
    assert {"Dup", "Iscatter"} <= set(comm.calls)  # that they were counted at all


@pytest.fixture
def heartbeat() -> Any:
    made = Heartbeat(COMM, host_name(), may_use_threads())
    yield made
    made.close()


def assembled(heartbeat: Heartbeat, **changes: Any) -> Team:
    request = Request("the same", lambda: Plan(Shard(JOB)))
    return assemble(COMM, request._replace(**changes), heartbeat)


def test_work_is_what_rank_0_has_decided(heartbeat: Heartbeat) -> None:
    def plan() -> Plan:
        assert COMM.rank == 0
        return Plan(Shard(JOB, 2, 3))

    team = assembled(heartbeat, plan=plan)
    assert (team.shard.index, team.shard.count, team.shard.job) == (2, 3, JOB)
    assert team.stats.rank == COMM.rank
    assert [row.rank for row in team.ranks] == (list(range(COMM.size)) if COMM.rank == 0 else [])


def test_foreseen_error_of_the_plan_is_raised_on_all_ranks(heartbeat: Heartbeat) -> None:
    def plan() -> Plan:
        raise UserError("argument --shard: no")

    with pytest.raises(UserError, match=r"^argument --shard: no$"):
        assembled(heartbeat, plan=plan)


def test_rank_that_was_asked_for_something_else_is_named_before_any_plan(
    heartbeat: Heartbeat,
) -> None:
    if COMM.size == 1:
        return

    def plan() -> Plan:
        raise AssertionError("files would be opened")

    text = "other" if COMM.rank == COMM.size - 1 else "usual"
    with pytest.raises(CollectiveError, match=r"is set to do .*, where most ranks do "):
        assembled(heartbeat, text=text, plan=plan)


def test_all_ranks_without_a_kernel_are_named(heartbeat: Heartbeat) -> None:
    def fail() -> Kernel:
        raise OSError("no memory")

    def announce(*_: Any) -> None:
        raise AssertionError("nothing is to be announced")

    with pytest.raises(CollectiveError) as raised:
        assembled(heartbeat, load_kernel=fail, announce=announce)
    ranks = ", ".join(f"rank {rank} on host {host_name()}" for rank in range(COMM.size))
    assert str(raised.value) == f"{ranks}: no memory"


def test_warnings_are_announced_once_with_their_ranks(heartbeat: Heartbeat) -> None:
    kernel = Kernel("numpy", count, warning="slow")
    told: list[Any] = []
    assembled(heartbeat, load_kernel=lambda: kernel, announce=lambda *those: told.append(those))
    if COMM.rank:
        assert told == []
        return
    ((shard, ranks, warnings),) = told
    assert shard == Shard(JOB)
    assert len(ranks) == COMM.size
    assert warnings == [f"rank 0{f' and {COMM.size - 1} more' if COMM.size > 1 else ''}: slow"]


def test_interrupt_while_the_kernel_is_loaded_is_told_to_all(heartbeat: Heartbeat) -> None:
    def interrupted() -> Kernel:
        if COMM.rank == COMM.size - 1:
            raise KeyboardInterrupt
        return load("numpy")

    with pytest.raises(
        CollectiveError, match=f"rank {COMM.size - 1} on host .*: KeyboardInterrupt"
    ) as raised:
        assembled(heartbeat, load_kernel=interrupted)
    assert isinstance(raised.value.own_exit, KeyboardInterrupt) == (COMM.rank == COMM.size - 1)
