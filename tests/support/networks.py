"""Benchmark documents of networks whose times follow a formula: latency, plus bytes over bandwidth."""

import json
import math
import random
from collections.abc import Sequence
from typing import Any

from mpi_pi.bench import document, network, pairing
from mpi_pi.bench.median import MedianCI
from mpi_pi.mpi.message_times import WINDOW
from mpi_pi.storage import json_document

TURNS, JITTER = 7, 0.02
LATENCY_SECONDS, BYTES_PER_SECOND = 2e-5, 1.1e8
SLOW_CABLE = 0.1
"""Bandwidth of the last host, as a share of that of the others."""


def benchmark(hosts: int, slower: float = 1.0, silent: bool = False) -> dict[str, Any]:
    """Return a benchmark of hosts with two ranks each, or of one host with four."""
    ranks = 2 * hosts if hosts > 1 else 4
    names = [f"node{index:0{len(str(hosts - 1))}}" for index in range(hosts)]
    made = document.new(False, "none", "Open MPI v5.0.11", names, ranks)
    made["network"] = section(names, slower, silent)
    read: dict[str, Any] = json.loads(json_document.dumps(made))
    return read


def section(names: Sequence[str], slower: float = 1.0, silent: bool = False) -> dict[str, Any]:
    """Return the section `network`; with `silent`, the last two hosts cannot reach each other."""
    alone = len(names) == 1
    hosts = dict.fromkeys(range(4), names[0]) if alone else {2 * i: name for i, name in enumerate(names)}
    places = list(hosts)

    def link(pair: tuple[int, int], sizes: Sequence[int]) -> dict[str, Any]:
        lost = silent and {*pair} == {*places[-2:]}
        rate = BYTES_PER_SECOND / slower * (SLOW_CABLE if places[-1] in pair else 1)
        seconds = LATENCY_SECONDS * slower * (1 + 0.1 * math.sin(pair[0] + 3 * pair[1]))
        rows = [] if lost else [row(f"{pair} {size}", size, seconds, rate) for size in sizes]
        return {"hosts": [hosts[rank] for rank in pair], "ranks": [*pair], "silent": lost, "rows": rows}

    rounds = pairing.both_ways(pairing.one_by_one(places))
    return {
        "between": "ranks" if alone else "hosts",
        "links": [link((0, rank), network.QUICK_SIZES) for rank in (places[1:2] if alone else places[1:])],
        "pairs": {
            "schedule": network.ONE_BY_ONE,
            "links": [link(pair, network.PAIR_SIZES) for (pair,) in rounds],
            "left_out": 0,
        },
    }


def row(name: str, size: int, latency: float, rate: float) -> dict[str, Any]:
    """Return the row of a size; `name` decides on the jitter."""
    bits = random.Random(name)
    factors = [1 + JITTER * bits.random() for _ in range(TURNS)]
    window = WINDOW if size < rate / 100 else 2
    rates = (size / (latency / WINDOW + size / rate) / factor for factor in factors)
    return {
        "bytes": size,
        "window": window,
        "latency_seconds": MedianCI.of((latency + size / rate) * factor for factor in factors).as_fields(),
        "bytes_per_second": MedianCI.of(rates).as_fields(),
    }
