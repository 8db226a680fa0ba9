"""Model of the cost of a round besides counting, for more ranks than there are, from measured constants.

After each round every rank sends its result to rank 0, whose manager sends every rank its next assignment.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mpi_pi.bench.median import MedianCI

HEADER_BYTES = 33
"""Of a message, those of MPI, TCP and IP: 30 to 33 have been counted."""

RANKS = (10**3, 10**4, 10**5, 10**6)

MATTERS_SECONDS = 0.01
"""Cost from which on a round is said to matter: a hundredth of the second that it lasts."""
MAX_RANKS = 1 << 20
"""Of the search for the number of ranks from which on it matters."""


def section(
    rows: Sequence[Mapping[str, Any]], link: Mapping[str, Any] | None, manager: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the section `round` of a benchmark: its measured members, and those of the model."""
    over_the_link = next((row for row in rows if row["hosts"] > 1), rows[0])
    model = RoundModel(over_the_link, link, manager) if link else None
    powers = [1 << power for power in range(MAX_RANKS.bit_length())]
    return {
        "rows": list(rows),
        "link": link and dict(link),
        "planner": list(manager),
        "model": [model.row(ranks) for ranks in RANKS] if model else [],
        "matters_from_ranks": next(
            (ranks for ranks in powers if model and model.round_seconds(ranks) > MATTERS_SECONDS), None
        ),
        "assumptions": model.assumptions() if model else [],
    }


class RoundModel:
    """Cost of a round by the number of ranks, given a measured row, a link, and times of the manager."""

    def __init__(
        self, row: Mapping[str, Any], link: Mapping[str, Any], manager: Sequence[Mapping[str, Any]]
    ) -> None:
        # They import NumPy, which the report on a benchmark does not need.
        from mpi_pi.parallel.load_balancer import Tuning
        from mpi_pi.parallel.manager import WORK_RESULT_COLUMNS, Assignment

        self.bytes_per_rank: int = 8 * (WORK_RESULT_COLUMNS + len(Assignment)) + 2 * HEADER_BYTES
        """Of a result and an assignment, int64 each."""
        self._min_round_seconds: float = Tuning.round_nanoseconds / 1e9
        self._wait_factor = Tuning.wait_factor
        self._latency: float = link["latency_seconds"]
        self._bytes_per_second: float = link["bytes_per_second"]
        self._link = f"the link to {link['host']}" if row["hosts"] > 1 else "a link within the host"
        self._ranks: int = row["ranks"]
        self._manager: list[tuple[int, float]] = [
            (each["ranks"], MedianCI.from_fields(each["seconds"]).median) for each in manager
        ]
        modelled = self.manager_seconds(self._ranks) + self.network_seconds(self._ranks)
        self.own_seconds = max(MedianCI.from_fields(row["seconds"]).median - modelled, 0.0)
        """Cost of a round to each rank by itself, whatever their number; 0 if that cannot be told."""

    def manager_seconds(self, ranks: int) -> float:
        """Interpolate the measured times linearly, and extrapolate the last two of them."""
        pairs = list(itertools.pairwise(self._manager)) or [((0, 0.0), self._manager[0])]
        (n0, t0), (n1, t1) = next((pair for pair in pairs if ranks <= pair[1][0]), pairs[-1])
        return max(t0 + (t1 - t0) * (ranks - n0) / (n1 - n0), 0.0)

    def network_seconds(self, ranks: int) -> float:
        """Return the time there and back along a binary tree, and of all bytes through rank 0's link."""
        depth = math.ceil(math.log2(ranks))
        return 2 * depth * self._latency + ranks * self.bytes_per_rank / self._bytes_per_second

    def round_seconds(self, ranks: int) -> float:
        """Return the cost of a round besides counting."""
        return self.own_seconds + self.manager_seconds(ranks) + self.network_seconds(ranks)

    def efficiency(self, ranks: int) -> float:
        """Return the share of time spent counting, in rounds as long as `LoadBalancer` makes them."""
        cost = self.round_seconds(ranks)
        # The load balancer goes by the least wait, that of rank 0: for results, and for the manager.
        wait = cost - self.network_seconds(ranks) / 2
        counting = max(self._min_round_seconds, self._wait_factor * wait)
        return counting / (counting + cost)

    def row(self, ranks: int) -> dict[str, Any]:
        """Return a row of the member `model`."""
        return {
            "ranks": ranks,
            "planner_seconds": self.manager_seconds(ranks),
            "network_seconds": self.network_seconds(ranks),
            "round_seconds": self.round_seconds(ranks),
            "efficiency": self.efficiency(ranks),
        }

    def assumptions(self) -> list[str]:
        """Return what the model assumes, in sentences."""
        most = self._manager[-1][0]
        each = f"{self.bytes_per_rank} bytes for each rank"
        own = f"ranks need {self.own_seconds * 1e3:.3g} ms for themselves: what is left of the measured round"
        if not self.own_seconds:
            own = "ranks need no time for themselves: network and planner are more than the measured round"
        return [
            f"reports and orders go along binary trees, each step at the latency of {self._link}",
            f"rank 0 receives and sends {each} at the bandwidth of that link",
            f"network and planner do not overlap; the planner goes on growing as it does up to {most} ranks",
            f"{own} of {self._ranks}",
            "all ranks are equally fast, nobody else uses network and cores, and the run has many rounds",
        ]
