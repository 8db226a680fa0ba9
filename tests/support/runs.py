"""Results of runs on any number of hosts, with real hits and made-up times."""

import itertools

import numpy as np

from mpi_pi.kernel import loader
from mpi_pi.model.binomial import centre
from mpi_pi.model.job import Job
from mpi_pi.model.result import RankInfo, RankStats, Result, RoundRecord, Timeline
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Sums, Tally
from support.partition import partition

WORDS = "2 threads on 2 cores, not bound"


def run(hosts: int, ranks_per_host: int = 1, rounds: int = 8, stopped: bool = False, seed: int = 5) -> Result:
    """Return a run on uneven hosts, the last one the slowest; the last round is partial if stopped."""
    ranks = hosts * ranks_per_host
    job = Job(trials=20 * ranks * rounds, points=1000, seed=seed)
    hits = loader.load().count(job, range(job.units))
    points_per_second = 1e4 * (2 + np.arange(ranks)[::-1] / ranks)
    timeline, cuts = Timeline(), np.linspace(0, job.units, rounds + 1).astype(int).tolist()
    now, done = 0.0, Tally()
    hits_by_rank = np.zeros(ranks, np.int64)
    lost = np.zeros(ranks, np.int64)
    for number, (start, stop) in enumerate(itertools.pairwise(cuts)):
        weights = np.ones(ranks, np.int64) if number == 0 else points_per_second.astype(np.int64)
        shares = partition(job, range(start, stop), weights)
        if stopped and number == rounds - 1:
            shares[0] = shares[0][: len(shares[0]) // 2]
            lost = np.array([0] + [len(share) for share in shares[1:]])
        units = np.array([len(share) for share in shares])
        counting = units * job.points / points_per_second
        tallies = [Tally.of(job, share, hits[share.start : share.stop]) for share in shares]
        done = sum(tallies, done)
        hits_by_rank += [tally.hits for tally in tallies]
        end = now + float(counting.max()) + 0.002
        timeline.append(
            RoundRecord(
                *(number, number, now, end, sum(tally.hits for tally in tallies), units, units * job.points),
                *((counting * 1e9).astype(np.int64), lost),
            )
        )
        now = end
    return Result(
        shard=Shard(job, tally=done),
        tally=done,
        usage=Usage(1, rounds, now + 0.5, now, now * ranks * 0.9, now * ranks * 0.9, 0.1),
        ranks=tuple(
            _row(rank, rank // ranks_per_host, timeline, int(hits_by_rank[rank])) for rank in range(ranks)
        ),
        timeline=timeline,
        rounds=rounds,
        kernels_right=True,
        mpi_library="Open MPI v5.0.11",
    )


def _row(rank: int, host: int, timeline: Timeline, hits: int) -> RankStats:
    counted = sum(int(row.count_nanoseconds[rank]) for row in timeline.records) / 1e9
    return RankStats(
        rank=rank,
        info=RankInfo(
            f"node{host + 1:04}.cluster.example", "A CPU", "numba", "haswell", 1, "1 thread on 2 cores"
        ),
        kernel_source="cache",
        units=sum(int(row.units[rank]) for row in timeline.records),
        points=sum(int(row.points[rank]) for row in timeline.records),
        hits=hits,
        kernel_right=True,
        startup_seconds=0.4,
        kernel_seconds=0.05,
        count_seconds=counted,
        wait_seconds=timeline.records[-1].end_seconds - counted,
        user_seconds=counted,
        system_seconds=0.01,
        peak_memory_bytes=100_000_000,
    )


def flame(ranks: int = 2, hosts: int = 1, hits: int = 78538813, threads: int = 1) -> Result:
    """Return the result of the Flame job, by default with the published hits."""
    rows = tuple(
        RankStats(
            rank=rank,
            info=RankInfo(f"node{rank * hosts // ranks:03}", "A CPU", "numba", "haswell", threads, WORDS),
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
