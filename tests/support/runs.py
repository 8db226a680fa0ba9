"""Results of runs on any number of hosts, with real hits and made-up times."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_pi.kernel import loader
from mpi_pi.model.binomial import centre
from mpi_pi.model.job import Job
from mpi_pi.model.result import LostRank, RankInfo, RankStats, Repair, Result, RoundRecord, Timeline
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Sums, Tally
from support.partition import partition

WORDS = "2 threads on 2 cores, not bound"

ATTEMPT_SECONDS, REPAIR_SECONDS = 0.3, 0.2
"""How long a round goes on until ranks are lost, and the time from then until it is begun anew."""

BEFORE_ROUNDS = -1
"""A loss that comes before the first round."""

NO_LOSSES: Mapping[int, Sequence[int]] = {}
COLUMNS = ("units", "points", "count_nanoseconds", "lost_units")


def run(
    hosts: int,
    ranks_per_host: int = 1,
    rounds: int = 8,
    stopped: bool = False,
    seed: int = 5,
    losses: Mapping[int, Sequence[int]] = NO_LOSSES,
    shard: tuple[int, int] = (1, 1),
) -> Result:
    """Return a run on uneven hosts, the last one the slowest; the last round is partial if stopped.

    `losses` has, by round, the ranks that are lost in it; for a round that there is not, after the last one.
    """
    ranks = hosts * ranks_per_host
    lost_in = {rank: number for number, lost_ranks in losses.items() for rank in lost_ranks}
    repairs: list[Repair] = []
    job = Job(trials=20 * ranks * rounds * shard[1], points=1000, seed=seed)
    units = job.shard(*shard)
    hits = loader.load().count(job, units)
    points_per_second = 1e4 * (2 + np.arange(ranks)[::-1] / ranks)
    timeline, cuts = Timeline(), np.linspace(units.start, units.stop, rounds + 1).astype(int).tolist()
    now, done = 0.0, Tally()
    hits_by_rank = np.zeros(ranks, np.int64)
    lost = np.zeros(ranks, np.int64)
    for number, (start, stop) in enumerate(itertools.pairwise(cuts)):
        for lost_at in (BEFORE_ROUNDS, number) if number == 0 else (number,):
            if lost_at in losses:
                redone = (stop - start) * job.points if lost_at == number else 0
                repairs.append(_repair(losses[lost_at], ranks_per_host, lost_at, now, redone))
                now += repairs[-1].cost_seconds
                if timeline.records and 0 in losses[lost_at]:
                    timeline = Timeline([_known_to_others(timeline.records, losses[lost_at])])
                    hits_by_rank = _moved_to_first(hits_by_rank, losses[lost_at])
        weights = np.ones(ranks, np.int64) if number == 0 else points_per_second.astype(np.int64)
        weights[[rank for rank in lost_in if lost_in[rank] <= number]] = 0
        shares = partition(job, range(start, stop), weights)
        if stopped and number == rounds - 1:
            shares[0] = shares[0][: len(shares[0]) // 2]
            lost = np.array([0] + [len(share) for share in shares[1:]])
        counted = np.array([len(share) for share in shares])
        counting = counted * job.points / points_per_second
        tallies = [
            Tally.of(job, share, hits[share.start - units.start : share.stop - units.start])
            for share in shares
        ]
        done = sum(tallies, done)
        hits_by_rank += [tally.hits for tally in tallies]
        end = now + float(counting.max()) + 0.002
        timeline.append(
            RoundRecord(
                *(
                    number,
                    number,
                    now,
                    end,
                    sum(tally.hits for tally in tallies),
                    counted,
                    counted * job.points,
                ),
                *((counting * 1e9).astype(np.int64), lost),
            )
        )
        now = end
    if rounds in losses:
        repairs.append(_repair(losses[rounds], ranks_per_host, rounds, now, 0))
    with_row = [rank for rank in range(ranks) if lost_in.get(rank) != BEFORE_ROUNDS]
    timeline = Timeline([_of_ranks(record, with_row) for record in timeline.records])
    lost_seconds = {lost.rank: repair.seconds for repair in repairs for lost in repair.lost}
    usage = Usage(1, rounds, now + 0.5, now, now * ranks * 0.9, now * ranks * 0.9, 0.1)
    return Result(
        shard=Shard(job, *shard, done, usage),
        tally=done,
        usage=usage,
        ranks=tuple(
            _row(
                *(rank, rank // ranks_per_host, [_of_ranks(record, [place]) for record in timeline.records]),
                *(int(hits_by_rank[rank]), lost_seconds.get(rank, now)),
            )
            for place, rank in enumerate(with_row)
        ),
        timeline=timeline,
        repairs=tuple(repairs),
        rounds=rounds,
        kernels_right=True,
        mpi_library="Open MPI v5.0.11",
    )


def host_name(host: int) -> str:
    return f"node{host + 1:04}.cluster.example"


def _repair(lost: Sequence[int], ranks_per_host: int, number: int, now: float, redone_points: int) -> Repair:
    is_begun = number != BEFORE_ROUNDS
    return Repair(
        lost=tuple(LostRank(rank, host_name(rank // ranks_per_host) if is_begun else "") for rank in lost),
        round=max(number, 0),
        seconds=now + ATTEMPT_SECONDS * is_begun,
        redone_points=redone_points,
        cost_seconds=REPAIR_SECONDS + ATTEMPT_SECONDS * is_begun,
    )


def _of_ranks(record: RoundRecord, places: Sequence[int]) -> RoundRecord:
    columns: Any = {name: getattr(record, name)[list(places)] for name in COLUMNS}
    return replace(record, **columns)


def _known_to_others(records: Sequence[RoundRecord], lost: Sequence[int]) -> RoundRecord:
    """Return what the ranks that are left know of the rounds before the loss of rank 0."""
    whole = reduce(add, records)
    columns: Any = {name: _moved_to_first(getattr(whole, name), lost) for name in COLUMNS}
    return replace(whole, **columns)


def _moved_to_first(values: NDArray[np.int64], ranks: Sequence[int]) -> NDArray[np.int64]:
    """Return values by rank, those of some ranks moved to the lowest of them."""
    moved = values.copy()
    moved[list(ranks)] = 0
    moved[min(ranks)] = values[list(ranks)].sum()
    return moved


def _row(rank: int, host: int, records: Sequence[RoundRecord], hits: int, seconds: float) -> RankStats:
    """Return the row of a rank that has taken part for `seconds`, given records of this rank alone."""
    counted = sum(int(row.count_nanoseconds[0]) for row in records) / 1e9
    return RankStats(
        rank=rank,
        info=RankInfo(host_name(host), "A CPU", "numba", "haswell", 1, "1 thread on 2 cores", "0"),
        kernel_source="cache",
        units=sum(int(row.units[0]) for row in records),
        points=sum(int(row.points[0]) for row in records),
        hits=hits,
        kernel_right=True,
        startup_seconds=0.4,
        kernel_seconds=0.05,
        count_seconds=counted,
        wait_seconds=max(seconds - counted, 0.0),
        user_seconds=counted,
        system_seconds=0.01,
        peak_memory_bytes=100_000_000,
    )


def flame(ranks: int = 2, hosts: int = 1, hits: int = 78538813, threads: int = 1) -> Result:
    """Return the result of the Flame job, by default with the published hits."""
    rows = tuple(
        RankStats(
            rank=rank,
            info=RankInfo(
                f"node{rank * hosts // ranks:03}", "A CPU", "numba", "haswell", threads, WORDS, "0-3"
            ),
            kernel_source="cache",
            units=1000 // ranks,
            points=10**8 // ranks,
            hits=hits // ranks + (hits % ranks if rank == 0 else 0),
            kernel_right=True,
            startup_seconds=0.3,
            kernel_seconds=0.05,
            count_seconds=0.01 * (1 + rank / ranks),
            wait_seconds=0.01 - 0.01 * rank / ranks,
            user_seconds=60.5,
            system_seconds=0.25,
            peak_memory_bytes=100_000_000,
        )
        for rank in range(ranks)
    )
    timeline = Timeline()
    each = np.full(ranks, 1000 // ranks)
    count_nanoseconds = np.array([round(row.count_seconds * 1e9) for row in rows])
    timeline.append(RoundRecord(0, 0, 0.0, 0.02, hits, each, each * 10**5, count_nanoseconds, 0 * each))
    off = hits - 1000 * centre(10**5)
    tally = Tally({10**5: Sums(1000, hits, round(1000 * 10**5 * 0.16855) + off**2 // 1000)})
    spent = Usage(
        runs=1,
        rounds=1,
        real_seconds=11.485,
        round_seconds=0.02,
        core_seconds=sum(row.count_seconds for row in rows) * threads,
        user_seconds=60.5 * ranks,
        system_seconds=0.25 * ranks,
    )
    return Result(
        shard=Shard(Job(1000, 10**5, 2**70), tally=tally, usage=spent),
        tally=tally,
        usage=spent,
        ranks=rows,
        timeline=timeline,
        rounds=1,
        kernels_right=True,
        mpi_library="Open MPI v5.0.11",
    )
