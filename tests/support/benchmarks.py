"""A benchmark made up by formula, for the tests of what reads one: no machine is this regular."""

import json
import math
import random
from collections.abc import Callable, Iterator
from itertools import accumulate, repeat, takewhile
from typing import Any

from mpi_pi.bench import comparison
from mpi_pi.bench.median import MedianCI
from mpi_pi.report import plain
from mpi_pi.report.bench import comparison as comparison_report
from mpi_pi.storage import json_document
from mpi_pi.version import __version__

TURNS = 7
SERIAL_FRACTION = 0.002
"""Of the strong job on one rank; by Amdahl's law on more."""
JITTER = 0.02
"""Every time is longer than its formula by up to this share of it."""
POINTS_PER_SECOND = 4e9
"""Of one core."""

KERNELS = {  # points/s of one core, bits for a point
    "mpi_pi, numba": (POINTS_PER_SECOND, 32.004),
    "mpi_pi, trials of 10,000 points": (3e9, 32.004),
    "mpi_pi, NumPy": (2.5e8, 64),
    "numba + Generator(PCG64)": (1e8, 106),
    "numba + np.random": (3e7, 106),
    "NumPy, as in Flame's example": (4e7, 106),
    "Python, as in the OctaPi lesson": (1.5e6, 106),
}
STEPS = {  # shares of a warm job, and what it takes longer when it is cold
    "launcher": (0.2, 0.0),
    "interpreter": (0.05, 0.0),
    "imports": (0.25, 0.0),
    "MPI_Init": (0.3, 0.0),
    "kernel": (0.08, 8.0),
    "count": (0.05, 0.0),
    "reduce": (0.02, 0.0),
    "exit": (0.05, 0.0),
}
PUBLISHED = {
    "Flame": {
        "name": "Flame, Python client",
        "seconds": 11.485,
        "date": "2018",
        "machine": "a Flame cluster of unknown size",
        "source": "Flame's example",
    },
    "OctaPi": {
        "name": "OctaPi, dispy",
        "seconds": 7517.66,
        "date": "2017",
        "machine": "8 Raspberry Pi 3, 32 cores",
        "source": "the OctaPi lesson",
    },
}


def compared(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, bool]:
    """The report on two benchmarks, and whether anything became slower."""
    changes = comparison.changes(old, new)
    slower = any(change.verdict == "slower" for change in changes.values())
    return plain.text(comparison_report.blocks(old, new, changes)), slower


def benchmark(ranks: int = 4, hosts: int = 1, slower: float = 1.0) -> dict[str, Any]:
    """All sections, measured on so many ranks on so many hosts. All times are `slower` times as long."""
    document = {
        "schema": 1,
        "program": "mpi-pi",
        "kind": "benchmark",
        "version": __version__,
        "commit": "0123456789ab",
        "date": "2026-11-22T12:00:00+00:00",
        "full": True,
        "machine": {
            "host": _host(0, hosts),
            "cpu": "Imaginary CPU @ 3.00GHz",
            "cores": -(-ranks // hosts),
            "clock_hz": 3e9,
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
        "scaling": _scaling(ranks, hosts, slower),
        "round": _round(ranks, hosts, slower),
    }
    sealed_document: dict[str, Any] = json.loads(json_document.dumps(document))
    return sealed_document


def _host(index: int, hosts: int) -> str:
    return f"node{index:0{len(str(hosts - 1))}}"


def _times(name: str, seconds: float) -> MedianCI:
    """So many seconds in each turn, and a bit; the same bits for the same name."""
    bits = random.Random(name)
    return MedianCI.of(seconds * (1 + JITTER * bits.random()) for _ in range(TURNS))


def _ladder(most: int) -> list[int]:
    """1, 2, 4 … and the most."""
    powers = takewhile(lambda n: n < most, accumulate(repeat(2), lambda n, two: n * two, initial=1))
    return [*powers, most]


def _sizes(ranks: int, hosts: int) -> list[tuple[int, int]]:
    """Ranks and hosts of each row: more and more hosts, or of one host more and more ranks."""
    if hosts == 1:
        return [(n, 1) for n in _ladder(ranks)]
    return [(n * ranks // hosts, n) for n in _ladder(hosts)]


def _noise(ranks: int, hosts: int, slower: float) -> dict[str, Any]:
    slowdowns = [
        0.004 + 0.002 * math.sin(index) ** 2 + 0.05 * (index == hosts - 1 and hosts > 1)
        for index in range(hosts)
    ]
    rows = [
        {
            "host": _host(index, hosts),
            "ranks": ranks // hosts,
            "slowdown": slowdown,
            "p99": 0.03,
            "longest": 0.2,
            "stolen": None if index % 2 else 0.001,
        }
        for index, slowdown in enumerate(slowdowns)
    ]
    return {"quantum_seconds": 0.001 * slower, "slowdown": max(slowdowns), "rows": rows}


def _kernel(slower: float) -> dict[str, Any]:
    seconds = {name: _times(name, slower / rate) for name, (rate, _) in KERNELS.items()}
    own = next(iter(seconds.values())).samples
    rows = []
    for name, (_, bits) in KERNELS.items():
        rates = MedianCI.of(1 / s for s in seconds[name].samples)
        rows.append(
            {
                "name": name,
                "points_per_second": rates.as_fields(),
                "times_as_fast": MedianCI.of_ratio(seconds[name].samples, own).as_fields(),
                "bits_per_point": bits,
                "cycles_per_point": 3e9 / rates.median,
            }
        )
    return {"rows": rows}


def _jobs(ranks: int, slower: float) -> Iterator[dict[str, Any]]:
    for name, trials, points, warm in (("Flame", 1000, 100_000, 0.5), ("OctaPi", 1_000_000, 10_000, 1.8)):
        for cold in (True, False):
            steps = {
                step: _times(f"{name} {cold} {step}", slower * (warm * share + cold * extra))
                for step, (share, extra) in STEPS.items()
            }
            turns = zip(*(step.samples for step in steps.values()), strict=True)
            yield {
                "name": name,
                "job": {"trials": trials, "points_per_trial": points},
                "ranks": ranks,
                "command": f"mpirun -n {ranks} mpi-pi run -n {trials} -i {points}",
                "cold": cold,
                "seconds": MedianCI.of(map(sum, turns)).as_fields(),
                "steps": [{"name": step, "seconds": seconds.as_fields()} for step, seconds in steps.items()],
                "published": PUBLISHED[name],
            }


def _scaling(ranks: int, hosts: int, slower: float) -> dict[str, Any]:
    sizes = _sizes(ranks, hosts)
    first = sizes[0][0]
    times_as_many = [n / first for n, _ in sizes]
    strong = _by_turn(
        sizes, "strong", lambda more: slower * 2 * (SERIAL_FRACTION + (1 - SERIAL_FRACTION) / more)
    )
    weak = _by_turn(sizes, "weak", lambda more: slower * (1 + 0.01 * math.log2(more)))
    return {
        "by": "ranks" if hosts == 1 else "hosts",
        "idle_ranks": 0,
        "same_hits": True,
        "strong": {
            "job": {"trials": int(2 * POINTS_PER_SECOND * first / 1e6), "points_per_trial": 1_000_000},
            "serial_fraction": None
            if len(sizes) == 1
            else MedianCI.of(
                SERIAL_FRACTION * (1 + 0.1 * random.Random(turn).random()) for turn in range(TURNS)
            ).as_fields(),
            "rows": [
                {
                    "ranks": n,
                    "hosts": on,
                    "seconds": seconds.as_fields(),
                    "speed_up": MedianCI.of_ratio(strong[0].samples, seconds.samples).as_fields(),
                    "efficiency": MedianCI.of(
                        a / b / more for a, b in zip(strong[0].samples, seconds.samples, strict=True)
                    ).as_fields(),
                    "karp_flatt": None if more == 1 else _karp_flatt(strong[0], seconds, more).as_fields(),
                }
                for (n, on), more, seconds in zip(sizes, times_as_many, strong, strict=True)
            ],
        },
        "weak": {
            "job": {"trials": int(POINTS_PER_SECOND / 1e6), "points_per_trial": 1_000_000},
            "rows": [
                {
                    "ranks": n,
                    "hosts": on,
                    "seconds": seconds.as_fields(),
                    "speed_up": MedianCI.of(
                        more * a / b for a, b in zip(weak[0].samples, seconds.samples, strict=True)
                    ).as_fields(),
                    "efficiency": MedianCI.of_ratio(weak[0].samples, seconds.samples).as_fields(),
                }
                for (n, on), more, seconds in zip(sizes, times_as_many, weak, strict=True)
            ],
        },
    }


def _by_turn(sizes: list[tuple[int, int]], name: str, seconds: Callable[[float], float]) -> list[MedianCI]:
    """The times of each row, by a formula for so many times as many ranks as in the first."""
    return [_times(f"{name} {n}", seconds(n / sizes[0][0])) for n, _ in sizes]


def _karp_flatt(first: MedianCI, seconds: MedianCI, more: float) -> MedianCI:
    speed_ups = (a / b for a, b in zip(first.samples, seconds.samples, strict=True))
    return MedianCI.of((1 / s - 1 / more) / (1 - 1 / more) for s in speed_ups)


def _round(ranks: int, hosts: int, slower: float) -> dict[str, Any]:
    sizes = _sizes(ranks, hosts)
    return {
        "rows": [
            {
                "ranks": n,
                "hosts": on,
                "seconds": _times(f"round {n}", slower * (1e-4 + 5e-5 * math.log2(n))).as_fields(),
            }
            for n, on in sizes
        ],
        "link": None
        if ranks == 1
        else {
            "host": _host(hosts - 1, hosts),
            "latency_seconds": slower * 2e-5,
            "bytes_per_second": 1.1e8 / slower,
        },
        "planner": [
            {"ranks": n, "seconds": _times(f"planner {n}", slower * (1e-5 + 2e-8 * n)).as_fields()}
            for n in (1, 1000, 10_000, 100_000)
        ],
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
