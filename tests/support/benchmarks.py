"""A benchmark document of made-up times, which are more regular than those of any machine.

The times follow formulas. The product makes the sections of them, but for the model of a round and the serial
fraction, which are made up as well.
"""

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mpi_pi.bench import comparison, jobs, kernel, noise, round_model, scaling
from mpi_pi.bench import document as bench_document
from mpi_pi.bench.jobs import BenchJob
from mpi_pi.bench.kernel import Implementation
from mpi_pi.bench.launched import TimedRun
from mpi_pi.bench.median import MedianCI
from mpi_pi.bench.noise import Slowdown
from mpi_pi.bench.published import Published
from mpi_pi.bench.scaling import GroupTimes
from mpi_pi.model.job import Job
from mpi_pi.report import plain
from mpi_pi.report.bench import comparison as comparison_report
from mpi_pi.version import __version__

TURNS = 7
SERIAL_FRACTION = 0.002
"""Of the strong job on one rank; by Amdahl's law on more."""
JITTER = 0.02
"""Every time is longer than its formula by up to this share of it."""
POINTS_PER_SECOND = 4e9
"""Of one core."""
CLOCK_HZ = 3e9

KERNELS = {  # points/s of one core, bits for a point
    "mpi_pi, numba": (POINTS_PER_SECOND, 32.004),
    "mpi_pi, trials of 10,000 points": (3e9, 32.004),
    "mpi_pi, NumPy": (2.5e8, 64),
    "numba + Generator(PCG64)": (1e8, 106),
    "numba + np.random": (3e7, 106),
    "NumPy, as in Flame's example": (4e7, 106),
    "Python, as in the OctaPi lesson": (1.5e6, 106),
}
PHASES = {  # shares of a warm job, and what it takes longer when it is cold
    "launcher": (0.2, 0.0),
    "interpreter": (0.05, 0.0),
    "imports": (0.25, 0.0),
    "MPI_Init": (0.3, 0.0),
    "kernel": (0.08, 8.0),
    "count": (0.05, 0.0),
    "reduce": (0.02, 0.0),
    "exit": (0.05, 0.0),
}
FLAME = Published(
    name="Flame, Python client",
    trials=1000,
    points_per_trial=100_000,
    seconds=11.485,
    date="2018",
    machine="a Flame cluster of unknown size",
    source="Flame's example",
)
OCTAPI = Published(
    name="OctaPi, dispy",
    trials=1_000_000,
    points_per_trial=10_000,
    seconds=7517.66,
    date="2017",
    machine="8 Raspberry Pi 3, 32 cores",
    source="the OctaPi lesson",
)
WARM_SECONDS = {BenchJob("Flame", FLAME, TURNS, TURNS): 0.5, BenchJob("OctaPi", OCTAPI, TURNS, TURNS): 1.8}


def compared(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, bool]:
    """Return the report on two benchmarks, and whether anything became slower."""
    changes = comparison.changes(old, new)
    slower = any(change.verdict == "slower" for change in changes.values())
    return plain.text(comparison_report.blocks(old, new, changes)), slower


def benchmark(ranks: int = 4, hosts: int = 1, slower: float = 1.0) -> dict[str, Any]:
    """Return a benchmark with all sections, of so many ranks on so many hosts, all equally many.

    All times are `slower` times as long.
    """
    host_of_rank = [_host(rank * hosts // ranks, hosts) for rank in range(ranks)]
    groups = [(len(n), len(n) * hosts // ranks or 1) for n in scaling.ladder(host_of_rank, range(ranks))]
    document = bench_document.new(True, "numba for haswell", "Open MPI v5.0.11") | {
        "version": __version__,
        "commit": "0123456789ab",
        "date": "2026-11-22T12:00:00+00:00",
        "machine": {
            "host": _host(0, hosts),
            "cpu": "Imaginary CPU @ 3.00GHz",
            "cores": -(-ranks // hosts),
            "clock_hz": CLOCK_HZ,
            "platform": "Linux-6.1-x86_64",
            "kernel": "numba for haswell",
            "hosts": hosts,
            "ranks": ranks,
        },
        "software": {
            "python": "3.11.2",
            "bits": 64,
            "package": __version__,
            "sources": "0123456789abcdef",
            "stream": 1,
            "numpy": "2.3.4",
            "numba": "0.68.0",
            "mpi4py": "4.1.1",
            "mpi": "Open MPI v5.0.11",
        },
        "noise": _noise(ranks, hosts, slower),
        "kernel": _kernel(slower),
        "jobs": list(_jobs(min(ranks, 4), slower)),
        "scaling": _scaling(groups, slower),
        "round": _round(groups, hosts, slower),
    }
    read: dict[str, Any] = json.loads(bench_document.as_json(document))
    return read


def _host(index: int, hosts: int) -> str:
    return f"node{index:0{len(str(hosts - 1))}}"


def _times(name: str, seconds: float) -> tuple[float, ...]:
    """Return so many seconds, and a bit, for each turn; the same for the same name."""
    bits = random.Random(name)
    return tuple(seconds * (1 + JITTER * bits.random()) for _ in range(TURNS))


def _ci(name: str, seconds: float) -> dict[str, Any]:
    return MedianCI.of(_times(name, seconds)).as_fields()


def _noise(ranks: int, hosts: int, slower: float) -> dict[str, Any]:
    """Return the section: the last of several hosts is noisiest; of every other no steal time is known."""
    rows = noise.group_by_host(
        (
            _host(index, hosts),
            Slowdown(
                0.004 + 0.002 * math.sin(index) ** 2 + 0.05 * (index == hosts - 1 and hosts > 1), 0.03, 0.2
            ),
            None if index % 2 else 0.001,
        )
        for index in range(hosts)
        for _ in range(ranks // hosts)
    )
    slowdown = max(row["slowdown"] for row in rows)
    return {"quantum_seconds": 0.001 * slower, "slowdown": slowdown, "rows": rows}


def _kernel(slower: float) -> dict[str, Any]:
    rates = {name: [1 / s for s in _times(name, slower / rate)] for name, (rate, _) in KERNELS.items()}
    subject = next(iter(rates.values()))
    return {
        "rows": [
            kernel.row(
                Implementation(name, bits, 1, int),
                rates[name],
                subject,
                CLOCK_HZ / MedianCI.of(rates[name]).median,
            )
            for name, (_, bits) in KERNELS.items()
        ]
    }


@dataclass(frozen=True)
class _Run(TimedRun):
    """A run whose phases are made up."""

    made_up: Sequence[tuple[str, float]] = ()

    @property
    def shares_clock(self) -> bool:
        return True

    def phases(self, shared_clock: bool = True) -> dict[str, float]:
        return dict(self.made_up)


def _jobs(ranks: int, slower: float) -> Iterator[dict[str, Any]]:
    for job, warm in WARM_SECONDS.items():
        for cold in (True, False):
            times = {
                phase: _times(f"{job.name} {cold} {phase}", slower * (warm * share + cold * extra))
                for phase, (share, extra) in PHASES.items()
            }
            turns = [tuple(zip(times, turn, strict=True)) for turn in zip(*times.values(), strict=True)]
            runs = [
                _Run(0.0, sum(seconds for _, seconds in turn), 0.0, {"ranks": [{}] * ranks}, turn)
                for turn in turns
            ]
            published = job.published
            command = f"mpirun -n {ranks} mpi-pi run -n {published.trials} -i {published.points_per_trial}"
            # The command of the product names this machine's Python.
            yield jobs.row(["mpirun"], job, cold, runs) | {"command": command}


def _scaling(groups: Sequence[tuple[int, int]], slower: float) -> dict[str, Any]:
    first, _ = groups[0]
    more = {ranks: ranks / first for ranks, _ in groups}
    strong = {n: slower * 2 * (SERIAL_FRACTION + (1 - SERIAL_FRACTION) / more[n]) for n in more}
    weak = {n: slower * (1 + 0.01 * math.log2(more[n])) for n in more}
    made: dict[str, Any] = {
        "by": "ranks" if groups[-1][1] == 1 else "hosts",
        "idle_ranks": 0,
        "same_hits": True,
        "strong": scaling.strong(
            Job(int(2 * POINTS_PER_SECOND * first / 1e6), 1_000_000, 1),
            _group_times(groups, "strong", strong),
        ),
        "weak": scaling.weak(
            Job(int(POINTS_PER_SECOND / 1e6), 1_000_000, 1), _group_times(groups, "weak", weak)
        ),
    }
    if len(groups) > 1:
        bits = (random.Random(turn).random() for turn in range(TURNS))
        fractions = MedianCI.of(SERIAL_FRACTION * (1 + 0.1 * bit) for bit in bits)
        made["strong"]["serial_fraction"] = fractions.as_fields()
    return made


def _group_times(groups: Sequence[tuple[int, int]], name: str, seconds: dict[int, float]) -> list[GroupTimes]:
    return [GroupTimes(n, on, _times(f"{name} {n}", seconds[n])) for n, on in groups]


def _round(groups: Sequence[tuple[int, int]], hosts: int, slower: float) -> dict[str, Any]:
    ranks, _ = groups[-1]
    rows = [
        {"ranks": n, "hosts": on, "seconds": _ci(f"round {n}", slower * (1e-4 + 5e-5 * math.log2(n)))}
        for n, on in groups
    ]
    link = {
        "host": _host(hosts - 1, hosts),
        "latency_seconds": slower * 2e-5,
        "bytes_per_second": 1.1e8 / slower,
    }
    manager = [
        {"ranks": n, "seconds": _ci(f"planner {n}", slower * (1e-5 + 2e-8 * n))}
        for n in (1, 1000, 10_000, 100_000)
    ]
    return round_model.section(rows, None if ranks == 1 else link, manager) | {
        "model": [_modelled(10**power, slower) for power in range(3, 7)],
        "matters_from_ranks": 1 << 18,
        "assumptions": [
            "A message takes the measured latency, and as long as the measured bandwidth needs for its bytes",
            "An allreduce takes as many steps as the ranks have binary digits",
        ],
    }


def _modelled(ranks: int, slower: float) -> dict[str, Any]:
    planner, network = slower * (1e-5 + 2e-8 * ranks), slower * 4e-5 * math.log2(ranks)
    return {
        "ranks": ranks,
        "planner_seconds": planner,
        "network_seconds": network,
        "round_seconds": planner + network,
        "efficiency": 1 / (1 + planner + network),
    }
