"""The result of a run, from what its rounds leave behind."""

from dataclasses import replace

from mpi_pi import timestamps
from mpi_pi.model.result import Result, Timeline
from mpi_pi.mpi.collectives import bcast
from mpi_pi.mpi.runtime import library_name
from mpi_pi.parallel.account import SUMMED
from mpi_pi.parallel.round_loop import RoundLoop
from mpi_pi.parallel.team import Team
from mpi_pi.system import process


def result_of(team: Team, loop: RoundLoop, seconds: float) -> Result:
    """Return the result: on rank 0 with the statistics of all ranks, elsewhere with those of this rank."""
    own = result_of_root(team, loop)
    common: Result = bcast(team.comm, own and replace(own, ranks=(), timeline=Timeline()), loop.poll)
    if own:
        return own
    totals = (loop.account.totals[:SUMMED] - loop.account.discarded).tolist()
    usage = loop.account.audit_nanoseconds, *process.usage()
    stats = team.stats.after(totals, usage, loop.kernel_right, seconds)
    return replace(common, ranks=(stats,))


def result_of_root(team: Team, loop: RoundLoop) -> Result | None:
    """Return the result of all complete rounds on rank 0, without communication; None elsewhere."""
    manager = loop.manager
    if manager is None:
        return None
    from mpi_pi.model.verdict import suspects  # not needed by the other ranks

    ranks, now = manager.ledger.rank_stats(team.ranks), timestamps.mark("summed")
    user, system = sum(rank.user_seconds for rank in ranks), sum(rank.system_seconds for rank in ranks)
    return Result(
        shard=manager.shard,
        tally=manager.counted,
        usage=manager.usage(user, system, now),
        ranks=ranks,
        timeline=manager.ledger.timeline,
        rounds=manager.rounds,
        kernels_right=manager.kernels_right,
        mpi_library=library_name(),
        suspects=suspects(ranks),
        repairs=manager.ledger.repairs,
        audit=manager.book.audit if manager.book else None,
    )
