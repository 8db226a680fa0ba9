"""Runs on all ranks of one program. They need mpirun, see run_all.py."""

import re
import signal
import time
from collections.abc import Callable

import numpy as np
import pytest
from mpi4py import MPI
from numpy.typing import NDArray

from mpi_pi import CollectiveError, Hooks, Job, Result, Round, run
from mpi_pi.kernel import reference
from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.model.job import BLOCK
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Tally
from mpi_pi.mpi import collectives, heartbeat, time_limit
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.parallel.load_balancer import Tuning

COMM = MPI.COMM_WORLD
JOB = Job(trials=600, points=10_001, seed=2**90)


MANY_ROUNDS = Tuning(first_points=50_000, round_nanoseconds=50_000, wait_factor=0, min_nanoseconds=1)
"""Rounds so short that a small job has many of them, shared unevenly as the ranks happen to be fast."""


class StopWhen(StopRequest):
    """A request that is made on this rank as soon as a condition is true."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        super().__init__()
        self._condition = condition

    def poll(self) -> bool:
        if not self.requested and self._condition():
            self.request(signal.SIGUSR1)
        return super().poll()


@pytest.fixture(scope="module")
def expected() -> NDArray[np.int64]:
    return reference.count(JOB, range(JOB.units))


class Spoiled:
    """The NumPy kernel with something wrong, on one rank."""

    def __init__(self, rank: int, spoil: Callable[[Job, range], NDArray[np.int64] | None]) -> None:
        self.rank, self.spoil = rank, spoil

    def kernel(self) -> Kernel:
        def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
            spoiled = self.spoil(job, units) if COMM.rank == self.rank else None
            return reference.count(job, units, stop) if spoiled is None else spoiled

        return Kernel("numpy", count)


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
def test_hits_are_those_of_the_reference_on_any_number_of_ranks(
    kernel: str, expected: NDArray[np.int64]
) -> None:
    result = run(JOB, COMM, kernel=kernel)
    assert result.tally.hits == expected.sum()
    assert result.tally.units == JOB.units
    assert not result.partial
    assert result.verified
    # Every rank has the answer, rank 0 all the rows.
    assert len(set(COMM.allgather(result.tally.hits))) == 1
    assert [row.rank for row in result.ranks] == (list(range(COMM.size)) if COMM.rank == 0 else [COMM.rank])
    if COMM.rank == 0:
        assert sum(row.units for row in result.ranks) == JOB.units
        assert sum(row.points for row in result.ranks) == JOB.total_points
        assert sum(int(row.units.sum()) for row in result.timeline.records) == JOB.units


@pytest.mark.mpi(min_size=2)
def test_hits_are_the_same_with_uneven_shares() -> None:
    job = Job(trials=4000, points=10_001, seed=4)
    compiled = load("numba")

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        if COMM.rank == 1:
            time.sleep(job.points_in(units) / 2e7)
        return compiled.count(job, units, stop)

    result = run(job, COMM, kernel=Kernel("numba", count))
    assert result.tally.hits == compiled.count(job, range(job.units)).sum()
    if COMM.rank == 0:
        units = [row.units for row in result.ranks]
        assert units[0] > 1.5 * units[1]


def test_unit_hits_arrive_in_order(expected: NDArray[np.int64]) -> None:
    seen: list[NDArray[np.int64]] = []
    rounds: list[Round] = []

    def on_round(round_: Round) -> None:
        rounds.append(round_)
        if round_.unit_hits is not None:
            seen.append(round_.unit_hits)

    run(JOB, COMM, hooks=Hooks(on_round, unit_hits=True), tuning=MANY_ROUNDS)
    assert [unit for round_ in rounds for unit in round_.units] == list(range(JOB.units))
    assert len(rounds) >= 3
    if COMM.rank == 0:
        assert rounds[-1].shard is not None
        assert rounds[-1].shard.tally.hits == expected.sum()
        assert (np.concatenate(seen) == expected).all()
    else:
        assert not seen


def test_several_runs_on_parts_of_the_world_are_right(expected: NDArray[np.int64]) -> None:
    part = MPI.Intracomm(COMM.Split(COMM.rank % 2, COMM.rank))
    for seed in (1, JOB.seed):
        job = Job(JOB.trials, JOB.points, seed)
        hits = run(job, part).tally.hits
        if seed == JOB.seed:
            assert hits == expected.sum()
    part.Free()
    assert run(JOB, MPI.COMM_SELF).tally.hits == expected.sum()


def test_uneven_units_of_long_trials_are_counted() -> None:
    job = Job(trials=5, points=BLOCK + 1, seed=3)
    kernel = load("numba")
    whole = kernel.count(job, range(job.units))
    assert run(job, COMM, kernel=kernel).tally.hits == whole.sum()


@pytest.mark.parametrize("who", [0, -1])
def test_stopping_on_one_rank_stops_all(who: int) -> None:
    """In the midst of a round, which here would last for hours."""
    job = Job(trials=2**64, points=10**9, seed=1)
    start = time.monotonic()
    stop = StopWhen(lambda: COMM.rank == who % COMM.size and time.monotonic() > start + 0.3)
    result = run(job, COMM, hooks=Hooks(stop=stop), tuning=Tuning(first_points=1 << 45, max_points=1 << 45))
    assert stop.reason == signal.SIGUSR1  # on all ranks
    assert result.partial
    assert result.rounds == 1
    assert result.tally.units > 0
    assert result.estimate is not None
    assert result.verified
    assert len(set(COMM.allgather(result.tally.hits))) == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_stopped_and_resumed_runs_count_the_same_hits(threads: int, expected: NDArray[np.int64]) -> None:
    """Each run is stopped somewhere, on some rank, and the next goes on from where it had got to."""
    part, runs = Shard(JOB), 0
    chance = np.random.default_rng(runs)
    while not part.complete:
        polls, who = COMM.bcast((int(chance.integers(1, 40)), int(chance.integers(COMM.size))))

        def stop(who: int = who) -> bool:
            nonlocal polls
            polls -= COMM.rank == who
            return bool(polls < 0)

        result = run(part, COMM, threads=threads, hooks=Hooks(stop=StopWhen(stop)), tuning=MANY_ROUNDS)
        assert result.shard.tally == Tally.of(
            JOB, range(result.shard.tally.units), expected[: result.shard.tally.units]
        )
        assert result.tally.units >= result.shard.tally.units >= part.tally.units
        assert result.shard.usage.runs == part.usage.runs + 1
        assert result.shard.usage.rounds == part.usage.rounds + result.rounds
        assert len(set(COMM.allgather(result.shard.tally.hits))) == 1
        part = COMM.bcast(result.shard)
        runs += 1
    assert result.verified
    assert not result.partial
    assert result.tally.hits == expected.sum()
    assert runs > 3


def test_run_of_complete_shard_counts_nothing(expected: NDArray[np.int64]) -> None:
    finished = run(JOB, COMM).shard
    assert finished.complete
    again = run(finished, COMM)
    assert again.tally == finished.tally
    assert again.rounds == 0
    assert again.verified
    assert not again.partial


def test_shards_add_up_to_the_job(expected: NDArray[np.int64]) -> None:
    shards = [run(Shard(JOB, index, 4), COMM, tuning=MANY_ROUNDS) for index in range(1, 5)]
    assert sum((shard.tally for shard in shards), Tally()) == Tally.of(JOB, range(JOB.units), expected)
    assert not any(shard.partial for shard in shards)


@pytest.mark.parametrize("threads", [2, 3])
def test_hits_are_the_same_with_threads(threads: int, expected: NDArray[np.int64]) -> None:
    """Also when ranks have different numbers of them."""
    own = threads if COMM.rank == 0 else 1
    result = run(JOB, COMM, threads=own)
    assert result.tally.hits == expected.sum()
    if COMM.rank == 0:
        assert [row.info.threads for row in result.ranks] == [threads, *[1] * (COMM.size - 1)]


def test_heartbeat_timeout_is_raised_without_a_collective() -> None:
    def notice() -> None:
        raise heartbeat.HeartbeatTimeout("host node7 has been silent")

    with pytest.raises(heartbeat.HeartbeatTimeout, match="node7"):
        collectives.call_on_all(COMM, notice)


def test_kernel_that_raises_while_it_is_tried_is_named() -> None:
    def spoil(job: Job, units: range) -> None:
        raise ZeroDivisionError("by a pie")

    with pytest.raises(
        CollectiveError, match=rf"rank {COMM.size - 1} on host .+: ZeroDivisionError: by a pie"
    ):
        run(JOB, COMM, kernel=Spoiled(COMM.size - 1, spoil).kernel())


def test_error_on_one_rank_is_raised_on_all() -> None:
    def spoil(job: Job, units: range) -> None:
        if job == JOB and units.stop > 100:
            raise RuntimeError("the dog ate it")

    with pytest.raises(CollectiveError, match=rf"rank {COMM.size - 1} on host .+: the dog ate it"):
        run(JOB, COMM, kernel=Spoiled(COMM.size - 1, spoil).kernel())
    assert run(JOB, COMM, kernel="numpy").verified  # and life goes on


@pytest.mark.parametrize("error", [SystemExit(5), KeyboardInterrupt()])
@pytest.mark.parametrize("who", [0, -1])
def test_exit_of_the_caller_on_one_rank_is_told_to_all_at_once(who: int, error: BaseException) -> None:
    """That rank ends as it wants to, and the others need not wait until they take it for silent."""

    def on_round(_: Round) -> None:
        if COMM.rank == who % COMM.size:
            raise error

    if COMM.rank == who % COMM.size:
        with pytest.raises(type(error)):
            run(JOB, COMM, hooks=Hooks(on_round))
    else:
        with pytest.raises(
            CollectiveError, match=rf"rank {who % COMM.size} on host \S+: {type(error).__name__}"
        ):
            run(JOB, COMM, hooks=Hooks(on_round))
    assert run(JOB, COMM, kernel="numpy").verified  # and life goes on


def test_error_of_the_caller_is_raised_on_all() -> None:
    def on_round(round_: Round) -> None:
        if COMM.rank == 0 and round_.units.stop == JOB.units:
            raise OSError(28, "No space left on device")

    with pytest.raises(CollectiveError, match=r"rank 0 on host .+No space left"):
        run(JOB, COMM, hooks=Hooks(on_round))


@pytest.mark.parametrize("who", [0, -1])
@pytest.mark.mpi(min_size=2)
def test_caller_that_takes_long_is_not_taken_for_silent(
    monkeypatch: pytest.MonkeyPatch, expected: NDArray[np.int64], who: int
) -> None:
    """Such as one that writes to a file system that stands still."""
    monkeypatch.setattr(heartbeat, "INTERVAL_SECONDS", 0.2)
    monkeypatch.setattr(heartbeat, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(time_limit, "patience_seconds", 1.5)

    def on_round(round_: Round) -> None:
        if round_.number == 0 and COMM.rank == who % COMM.size:
            time.sleep(4)

    assert run(JOB, COMM, hooks=Hooks(on_round), tuning=MANY_ROUNDS).tally.hits == expected.sum()


def test_kernel_that_fails_the_known_answers_counts_nothing() -> None:
    counted = 0

    def spoil(job: Job, units: range) -> NDArray[np.int64]:
        nonlocal counted
        counted += job == JOB
        return reference.count(job, units) + 1

    with pytest.raises(CollectiveError, match=r"rank 0 on host .+: kernel numpy fails the known-answer test"):
        run(JOB, COMM, kernel=Spoiled(0, spoil).kernel())
    assert counted == 0


def test_kernel_that_fails_after_a_round_is_not_verified(expected: NDArray[np.int64]) -> None:
    counted = False

    def spoil(job: Job, units: range) -> NDArray[np.int64] | None:
        nonlocal counted
        counted |= job == JOB
        return None if job == JOB or not counted else reference.count(job, units) + 1

    result = run(JOB, COMM, kernel=Spoiled(COMM.size - 1, spoil).kernel())
    assert result.tally.hits == expected.sum()
    assert not result.verified
    assert any(reason.startswith("known answers: the kernel of") for reason in result.reasons)
    if COMM.rank == 0:
        assert [row.rank for row in result.ranks if not row.kernel_right] == [COMM.size - 1]
    assert not result.shard.complete  # nobody goes on from what may be wrong


def test_kernel_that_was_wrong_after_the_first_round_alone_is_remembered() -> None:
    compiled, rounds, who = load("numba"), 0, COMM.size - 1

    def count(job: Job, units: range, stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        nonlocal rounds
        rounds = max(rounds, int(job == JOB))
        wrong = COMM.rank == who and rounds == 1 and job != JOB
        return compiled.count(job, units, stop) + int(wrong)

    def on_round(_: Round) -> None:
        nonlocal rounds
        rounds = 2

    result = run(
        JOB, COMM, kernel=Kernel("numba", count), hooks=Hooks(on_round), tuning=Tuning(first_points=50_000)
    )
    assert result.rounds > 1
    assert not result.verified
    own = next(row for row in result.ranks if row.rank == COMM.rank)
    assert own.kernel_right == (COMM.rank != who)


def test_hits_of_each_rank_are_known(expected: NDArray[np.int64]) -> None:
    result = run(JOB, COMM, tuning=MANY_ROUNDS)
    own = next(row for row in result.ranks if row.rank == COMM.rank)
    assert sum(COMM.allgather(own.hits)) == expected.sum()
    assert result.suspects == ()
    if COMM.rank == 0:
        assert sum(row.hits for row in result.ranks) == expected.sum()


@pytest.mark.mpi(min_size=2)
def test_rank_that_loses_hits_is_named_on_all() -> None:
    """Two in a hundred: in 6,000,000 points some 20 standard deviations of those of a rank."""

    def spoil(job: Job, units: range) -> NDArray[np.int64] | None:
        return reference.count(job, units) * 49 // 50 if job == JOB else None

    result = run(JOB, COMM, kernel=Spoiled(COMM.size - 1, spoil).kernel())
    assert not result.verified
    rank = rf"rank {COMM.size - 1} on host .+: hits are -\d+\.\d+ standard errors off"
    assert any(re.match(rank, reason) for reason in result.suspects)
    assert len(result.suspects) == 1
    assert COMM.bcast(result.reasons) == result.reasons


@pytest.mark.mpi(min_size=2)
def test_ranks_with_different_jobs_are_all_named() -> None:
    odd = COMM.rank == COMM.size - 1
    job = Job(11 if odd else 10, 1000, 1)
    with pytest.raises(CollectiveError) as raised:
        run(job, COMM)
    lines = str(raised.value).splitlines()
    # Of two ranks neither is the odd one out, and one of them is named.
    assert len(lines) == 1
    assert "Job(trials=11" in lines[0]
    assert "Job(trials=10" in lines[0]
    if COMM.size > 2:
        assert lines[0].startswith(f"rank {COMM.size - 1} on host ")


@pytest.mark.mpi(min_size=2)
def test_shares_follow_the_speed_of_ranks() -> None:
    """One rank four times slower: from the third round on the others wait less than 15 % of the count time.

    Sleeping stands for counting, so that neither the machine's cores nor its load matter; within a share,
    what one sleep is too long the next is shorter.
    """
    rate = 2e8 if COMM.rank else 5e7
    due = woke = 0.0

    def count(job: Job, units: range, _stop: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
        if job.seed != 77:
            return reference.count(job, units)
        nonlocal due, woke
        now = time.monotonic()
        due = (due if now < woke + 2e-3 else now) + job.points_in(units) / rate
        time.sleep(max(due - now, 0))
        woke = time.monotonic()
        return np.full(len(units), job.points * 355 // 452)

    job = Job(trials=400_000 * COMM.size, points=1000, seed=77)
    kernel = Kernel("numpy", count)
    # What else the machine does can only make it worse, so one run of three is enough.
    assert any(COMM.bcast(late_wait_share(run(job, COMM, kernel=kernel))) < 0.15 for _ in range(3))


def late_wait_share(result: Result) -> float:
    """The share of the count time that ranks waited from the third round on; on rank 0."""
    rounds = [row.count_nanoseconds for row in result.timeline.records][2:]
    if not rounds:
        return 1.0
    return 1 - sum(float(ns.mean()) for ns in rounds) / sum(int(ns.max()) for ns in rounds)
