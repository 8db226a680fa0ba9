"""A whole run: a job, or the rest of a shard, counted on all ranks of a communicator."""

from typing import TYPE_CHECKING

from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.model.job import Job
from mpi_pi.model.result import Result
from mpi_pi.model.shard import Shard
from mpi_pi.mpi import ulfm
from mpi_pi.mpi.collectives import CollectiveError
from mpi_pi.mpi.heartbeat import Heartbeat, HeartbeatTimeout
from mpi_pi.mpi.peer_timeout import RankLoss
from mpi_pi.mpi.runtime import host_name, may_use_threads
from mpi_pi.parallel.hooks import Hooks
from mpi_pi.parallel.load_balancer import DEFAULT, Tuning
from mpi_pi.parallel.outcome import result_of, result_of_root
from mpi_pi.parallel.round_loop import RoundLoop
from mpi_pi.parallel.state import State
from mpi_pi.parallel.team import Plan, Request, Team, assemble
from mpi_pi.version import STREAM_VERSION, __version__

if TYPE_CHECKING:
    from mpi4py import MPI

DEFAULT_HOOKS = Hooks()


class InterruptedRun(HeartbeatTimeout):
    """A rank has fallen silent during a run."""

    def __init__(self, text: str, result: Result | None) -> None:
        super().__init__(text)
        self.result = result
        """Result of the complete rounds, on rank 0; None elsewhere, or if there were none."""


def run(
    work: Job | Shard,
    comm: "MPI.Intracomm",
    *,
    kernel: Kernel | str = "auto",
    threads: int = 1,
    hooks: Hooks = DEFAULT_HOOKS,
    tuning: Tuning = DEFAULT,
) -> Result:
    """Count a job, or the rest of a shard, on all ranks of `comm`. Collective.

    `work` has to be the same on all ranks; `threads` and `hooks` may differ. `kernel` is one that
    `kernel.loader.load` has returned, or its name.

    Returns the same result on all ranks, except `Result.ranks`: rank 0 has the statistics of all ranks, any
    other rank its own. After a stop the result is partial, and another run can continue from its `shard`.

    Raises CollectiveError on all ranks after an error of one rank in the kernel, a hook or the handshake,
    except where that error is a KeyboardInterrupt or SystemExit, which that rank raises. Raises
    InterruptedRun if a rank has been silent for a minute; then no collective operation on `comm` is possible.
    """
    shard = work if isinstance(work, Shard) else Shard(work)
    units = ", ".join(f"units {units.start} to {units.stop}" for units in shard.remaining)
    request = Request(
        f"mpi-pi {__version__}, stream {STREAM_VERSION}, {shard.job}, {units}, audit {tuning.audit}",
        lambda: Plan(shard),
        lambda: load(kernel) if isinstance(kernel, str) else kernel,
        threads,
        audit=tuning.audit,
    )
    signals = comm.Dup()  # so that stop requests and heartbeats are not taken for other messages
    heartbeat = hooks.heartbeat or Heartbeat(signals, host_name(), may_use_threads())

    def close() -> None:
        if not hooks.heartbeat:
            heartbeat.close()
        signals.Free()

    try:
        team = assemble(comm, request, heartbeat)
        result = count(team, signals, hooks, State(team, tuning))
    except CollectiveError as error:  # raised on all ranks
        close()
        raise error.own_exit or error from error.__cause__
    except BaseException:
        if not hooks.heartbeat:
            heartbeat.stop()  # so that the others notice that this rank has left
        raise
    close()
    return result


def count(team: Team, signals: "MPI.Intracomm", hooks: Hooks, state: State) -> Result:
    """Count the work of a team, and raise as `run` does; `signals` is for stop requests alone. Collective."""
    loop = RoundLoop(team, signals, hooks, state.account, state.manager)
    try:
        seconds = loop.run()
        with ulfm.losses():
            result = result_of(team, loop, seconds)
            loop.close()
    except RankLoss as loss:
        loop.threads.close()
        if team.survives:
            if loop.problem.error:
                raise loop.problem.error from loss
            raise
        raise InterruptedRun(str(loss), result_of_root(team, loop) if loop.rounds else None) from loss
    except CollectiveError:
        with ulfm.losses():
            loop.close()
        raise
    return result
