"""What a round costs besides counting: what rank 0 needs for its books, measured; and a model of more ranks.

After each round every rank reports to rank 0, which plans the next one and sends every rank its order.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mpi_pi.bench.median import MedianCI

REPORT_BYTES, ORDER_BYTES = 32 * 8, 6 * 8
HEADER_BYTES = 33
"""Of a message, those of MPI, TCP and IP: 30 to 33 have been counted."""
BYTES_PER_RANK = REPORT_BYTES + ORDER_BYTES + 2 * HEADER_BYTES

TURNS, TURNS_FULL = 5, 9
MEASURED = (1000, 10_000, 100_000)
MODELLED = (10**3, 10**4, 10**5, 10**6)

MATTERS_SECONDS = 0.01
"""What a round may cost before it matters: a hundredth of the second that it lasts."""
MAX_RANKS = 1 << 20


def measure(full: bool, show: Callable[[float], object]) -> list[dict[str, Any]]:
    """The member `planner` of a benchmark's `round`: seconds of `Manager.next`, with made-up reports."""
    rows = []
    for index, ranks in enumerate(MEASURED):
        rows.append({"ranks": ranks, "seconds": _planner(ranks, TURNS_FULL if full else TURNS).as_fields()})
        show((index + 1) / len(MEASURED))
    return rows


def _planner(ranks: int, turns: int) -> MedianCI:
    """The seconds of each of some rounds of so many ranks that count a little faster or slower each time."""
    import numpy as np

    from mpi_pi.model.job import Job
    from mpi_pi.model.shard import Shard
    from mpi_pi.parallel.manager import REPORT_COLUMNS, Assignment, Manager, WorkResult

    job = Job(trials=10**12, points=10**6, seed=1)
    planner = Manager(Shard(job), [1] * ranks, None)
    orders, seconds = planner.begin(), []
    random = np.random.default_rng(1)
    for _ in range(turns + 1):
        units = orders[:, Assignment.STOP] - orders[:, Assignment.START]
        reports = np.zeros((ranks, REPORT_COLUMNS), np.int64)
        reports[:, WorkResult.UNITS] = reports[:, WorkResult.TALLY] = units
        reports[:, WorkResult.POINTS] = units * job.points
        reports[:, WorkResult.COUNT_NS] = reports[:, WorkResult.POINTS] * random.uniform(0.25, 0.26, ranks)
        reports[:, WorkResult.TALLY + 1] = units * job.points * 355 // 452
        reports[:, WorkResult.TALLY + 2] = units * job.points // 6
        start = time.perf_counter()
        orders = planner.next(reports)
        seconds.append(time.perf_counter() - start)
    return MedianCI.of(seconds[1:])  # the first round is like no other: nothing was known of the rates yet


def section(
    rows: Sequence[Mapping[str, Any]], link: Mapping[str, Any] | None, planner: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The member `round` of a benchmark: its own `rows`, `link` and `planner`, and what follows from them."""
    over_the_link = next((row for row in rows if row["hosts"] > 1), rows[0])
    model = Model(over_the_link, link, planner) if link else None
    powers = [1 << power for power in range(MAX_RANKS.bit_length())]
    return {
        "rows": list(rows),
        "link": link and dict(link),
        "planner": list(planner),
        "model": [model.row(ranks) for ranks in MODELLED] if model else [],
        "matters_from_ranks": next(
            (ranks for ranks in powers if model and model.round_seconds(ranks) > MATTERS_SECONDS), None
        ),
        "assumptions": model.assumptions() if model else [],
    }


class Model:
    """The cost of a round from measured constants: a row of a round, a link, and times of the planner."""

    def __init__(
        self, row: Mapping[str, Any], link: Mapping[str, Any], planner: Sequence[Mapping[str, Any]]
    ) -> None:
        self._latency: float = link["latency_seconds"]
        self._bytes_per_second: float = link["bytes_per_second"]
        self._link = f"the link to {link['host']}" if row["hosts"] > 1 else "a link within the host"
        self._ranks: int = row["ranks"]
        self._planner: list[tuple[int, float]] = [
            (each["ranks"], MedianCI.from_fields(each["seconds"]).median) for each in planner
        ]
        modelled = self.planner_seconds(self._ranks) + self.network_seconds(self._ranks)
        self.own_seconds = max(MedianCI.from_fields(row["seconds"]).median - modelled, 0.0)
        """What a round costs each rank by itself, whatever their number; 0 if that cannot be told."""

    def planner_seconds(self, ranks: int) -> float:
        """On straight lines through what was measured; the last one goes on."""
        pairs = list(itertools.pairwise(self._planner)) or [((0, 0.0), self._planner[0])]
        (n0, t0), (n1, t1) = next((pair for pair in pairs if ranks <= pair[1][0]), pairs[-1])
        return max(t0 + (t1 - t0) * (ranks - n0) / (n1 - n0), 0.0)

    def network_seconds(self, ranks: int) -> float:
        """There and back along a tree, and the bytes of all ranks through rank 0's link."""
        depth = math.ceil(math.log2(ranks))
        return 2 * depth * self._latency + ranks * BYTES_PER_RANK / self._bytes_per_second

    def round_seconds(self, ranks: int) -> float:
        """What a round costs besides counting."""
        return self.own_seconds + self.planner_seconds(ranks) + self.network_seconds(ranks)

    def efficiency(self, ranks: int) -> float:
        """The share of the time that is spent counting, in rounds as long as the schedule makes them."""
        from mpi_pi.parallel.load_balancer import ROUND_NANOSECONDS, WAIT_FACTOR

        cost = self.round_seconds(ranks)
        # The schedule goes by the least wait, that of rank 0: reports come in, and books are kept.
        wait = cost - self.network_seconds(ranks) / 2
        counting = max(ROUND_NANOSECONDS / 1e9, WAIT_FACTOR * wait)
        return counting / (counting + cost)

    def row(self, ranks: int) -> dict[str, Any]:
        """A row of the model."""
        return {
            "ranks": ranks,
            "planner_seconds": self.planner_seconds(ranks),
            "network_seconds": self.network_seconds(ranks),
            "round_seconds": self.round_seconds(ranks),
            "efficiency": self.efficiency(ranks),
        }

    def assumptions(self) -> list[str]:
        """In words."""
        most = self._planner[-1][0]
        own = f"ranks need {self.own_seconds * 1e3:.3g} ms for themselves: what is left of the measured round"
        if not self.own_seconds:
            own = "ranks need no time for themselves: network and planner are more than the measured round"
        return [
            f"reports and orders go along binary trees, each step at the latency of {self._link}",
            f"rank 0 receives and sends {BYTES_PER_RANK} bytes for each rank at the bandwidth of that link",
            f"network and planner do not overlap; the planner goes on growing as it does up to {most} ranks",
            f"{own} of {self._ranks}",
            "all ranks are equally fast, nobody else uses network and cores, and the run has many rounds",
        ]
