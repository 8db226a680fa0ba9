"""Benchmark documents of times that follow formulas; the product makes everything else of them."""

import itertools
import json
import math
import random
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from mpi_pi.bench import comparison, jobs, kernel, manager, noise, round_model, scaling
from mpi_pi.bench import document as bench_document
from mpi_pi.bench.jobs import BenchJob
from mpi_pi.bench.kernel import BITS, BITS_OF_DOUBLES, SHORT_SUBJECT, Implementation
from mpi_pi.bench.launched import TimedRun
from mpi_pi.bench.median import MedianCI
from mpi_pi.bench.noise import Slowdown
from mpi_pi.bench.scaling import GroupTimes
from mpi_pi.model.job import Job
from mpi_pi.report import plain
from mpi_pi.report.bench import comparison as comparison_report
from mpi_pi.storage import json_document

TURNS = 7
SERIAL_FRACTION = 0.002
"""Serial fraction of the strong job, whose times follow Amdahl's law."""
JITTER = 0.02
"""Every time is longer than its formula by up to this share of it."""
POINTS_PER_SECOND = 4e9
"""Rate of one core."""
CLOCK_HZ = 3e9

KERNELS = {  # points/s of one core, bits for a point
    "mpi_pi, numba": (POINTS_PER_SECOND, BITS["numba"]),
    SHORT_SUBJECT: (3e9, BITS["numba"]),
    "mpi_pi, NumPy": (2.5e8, BITS["numpy"]),
    "numba + Generator(PCG64)": (1e8, BITS_OF_DOUBLES),
    "numba + np.random": (3e7, BITS_OF_DOUBLES),
    "NumPy, as in Flame's example": (4e7, BITS_OF_DOUBLES),
    "Python, as in the OctaPi lesson": (1.5e6, BITS_OF_DOUBLES),
}
MARKS = {  # share of a warm job's time before each timestamp, and seconds more if it is cold
    "program": (0.25, 0.0),
    "imported": (0.25, 0.0),
    "mpi": (0.3, 0.0),
    "kernel": (0.08, 8.0),
    "start": (0.01, 0.0),
    "end": (0.05, 0.0),
    "counted": (0.01, 0.0),
    "prompt": (0.05, 0.0),
}
FLAME, _, OCTAPI = jobs.FULL
WARM_SECONDS = {FLAME: 0.5, OCTAPI: 1.8}


def compared(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, bool]:
    """Return the report on two benchmarks, and whether anything became slower."""
    changes = comparison.changes(old, new)
    slower = any(change.verdict == "slower" for change in changes.values())
    return plain.text(comparison_report.blocks(old, new, changes)), slower


def benchmark(ranks: int = 4, hosts: int = 1, slower: float = 1.0) -> dict[str, Any]:
    """Return a benchmark with all sections but the network; the hosts have equally many ranks.

    All times are `slower` times as long.
    """
    host_of_rank = [_host(rank * hosts // ranks, hosts) for rank in range(ranks)]
    groups = [(len(n), len(n) * hosts // ranks or 1) for n in scaling.ladder(host_of_rank, range(ranks))]
    document = bench_document.new(True, "numba for haswell", "Open MPI v5.0.11", set(host_of_rank), ranks)
    document["machine"] |= {"host": host_of_rank[0], "cpu": "Imaginary CPU @ 3.00GHz", "clock_hz": CLOCK_HZ}
    document |= {
        "noise": _noise(ranks, hosts, slower),
        "kernel": _kernel(slower),
        "jobs": [_job(job, cold, min(ranks, 4), slower) for job in WARM_SECONDS for cold in (True, False)],
        "scaling": _scaling(groups, slower),
        "round": _round(groups, hosts, slower),
    }
    read: dict[str, Any] = json.loads(json_document.dumps(document))
    return read


def _host(index: int, hosts: int) -> str:
    return f"node{index:0{len(str(hosts - 1))}}"


def _times(name: str, seconds: float) -> tuple[float, ...]:
    """Return `seconds` with a jitter for each turn, which depends on the name alone."""
    bits = random.Random(name)
    return tuple(seconds * (1 + JITTER * bits.random()) for _ in range(TURNS))


def _row(name: str, seconds: float, **members: Any) -> dict[str, Any]:
    return members | {"seconds": MedianCI.of(_times(name, seconds)).as_fields()}


def _noise(ranks: int, hosts: int, slower: float) -> dict[str, Any]:
    """Return the section: the last of several hosts is noisiest; of every other no steal time is known."""

    def of_ranks() -> Iterator[tuple[str, Slowdown, float | None]]:
        for index in range(hosts):
            mean = 0.004 + 0.002 * math.sin(index) ** 2 + 0.05 * (index == hosts - 1 and hosts > 1)
            yield from [(_host(index, hosts), Slowdown(mean, 0.03, 0.2), None if index % 2 else 0.001)] * (
                ranks // hosts
            )

    rows = noise.group_by_host(of_ranks())
    return {"quantum_seconds": 0.001 * slower, "slowdown": max(row["slowdown"] for row in rows), "rows": rows}


def _kernel(slower: float) -> dict[str, Any]:
    rates = {name: [1 / s for s in _times(name, slower / rate)] for name, (rate, _) in KERNELS.items()}
    subject = next(iter(rates.values()))
    return {
        "rows": [
            kernel.row(Implementation(name, bits, 1, int), own, subject, CLOCK_HZ / MedianCI.of(own).median)
            for (name, (_, bits)), own in zip(KERNELS.items(), rates.values(), strict=True)
        ]
    }


def _job(job: BenchJob, cold: bool, ranks: int, slower: float) -> dict[str, Any]:
    times = [
        _times(f"{job.name} {cold} {mark}", slower * (WARM_SECONDS[job] * share + cold * extra))
        for mark, (share, extra) in MARKS.items()
    ]
    return jobs.row(
        ["mpirun", "-n", str(ranks)], job, cold, [_run(turn, ranks) for turn in zip(*times, strict=True)]
    )


def _run(seconds: Sequence[float], ranks: int) -> TimedRun:
    """Return a run on this host, given the seconds before each of `MARKS`."""
    before, marks = (
        dict(zip(MARKS, seconds, strict=True)),
        dict(zip(MARKS, itertools.accumulate(seconds), strict=True)),
    )
    of_rank = {
        "host": socket.gethostname(),
        "kernel_seconds": before["kernel"],
        "count_seconds": 0.7 * before["end"],
    }
    ended = marks.pop("prompt")
    return TimedRun(0.0, ended, 0.2 * before["program"], {"marks": marks, "ranks": [of_rank] * ranks})


def _scaling(groups: Sequence[tuple[int, int]], slower: float) -> dict[str, Any]:
    first, _ = groups[0]
    more = {ranks: ranks / first for ranks, _ in groups}
    strong = {n: slower * 2 * (SERIAL_FRACTION + (1 - SERIAL_FRACTION) / more[n]) for n in more}
    weak = {n: slower * (1 + 0.01 * math.log2(more[n])) for n in more}
    each = int(POINTS_PER_SECOND / 1e6)
    return {
        "by": "ranks" if groups[-1][1] == 1 else "hosts",
        "idle_ranks": 0,
        "same_hits": True,
        "strong": scaling.strong(Job(2 * each * first, 10**6, 1), _group_times(groups, "strong", strong)),
        "weak": scaling.weak(Job(each, 10**6, 1), _group_times(groups, "weak", weak)),
    }


def _group_times(groups: Sequence[tuple[int, int]], name: str, seconds: dict[int, float]) -> list[GroupTimes]:
    return [GroupTimes(n, on, _times(f"{name} {n}", seconds[n])) for n, on in groups]


def _round(groups: Sequence[tuple[int, int]], hosts: int, slower: float) -> dict[str, Any]:
    rows = [_row(f"round {n}", slower * (1e-4 + 5e-5 * math.log2(n)), ranks=n, hosts=on) for n, on in groups]
    seconds, rate = slower * 2e-5, 1.1e8 / slower
    link = {"host": _host(hosts - 1, hosts), "latency_seconds": seconds, "bytes_per_second": rate}
    books = [_row(f"planner {n}", slower * (1e-5 + 2e-8 * n), ranks=n) for n in manager.RANKS]
    return round_model.section(rows, None if groups[-1][0] == 1 else link, books)
