"""Model of the cost of a round besides counting, for more ranks than there are, from measured constants.

After each round every rank sends its result to rank 0, whose manager sends every rank its next assignment.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mpi_pi.bench.scaling import doubling

HEADER_BYTES = 33
"""Bytes of the headers of a message by MPI, TCP and IP: 30 to 33 have been counted."""

RANKS = (10**3, 10**4, 10**5, 10**6)

MATTERS_SECONDS = 0.01
"""Cost from which on a round is said to matter: a hundredth of the second that it lasts."""
MAX_RANKS = 1 << 20
"""End of the search for the number of ranks from which on a round matters."""


def section(
    rows: Sequence[Mapping[str, Any]], link: Mapping[str, Any] | None, manager: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the section `round` of a benchmark: its measured members, and those of the model."""
    measured = {"rows": list(rows), "link": link and dict(link), "planner": list(manager)}
    if not link:
        return measured | {"model": [], "matters_from_ranks": None, "assumptions": []}
    model = RoundModel(next((row for row in rows if row["hosts"] > 1), rows[0]), link, manager)
    costly = (ranks for ranks in doubling(MAX_RANKS) if model.round_seconds(ranks) > MATTERS_SECONDS)
    return measured | {
        "model": [model.row(ranks) for ranks in RANKS],
        "matters_from_ranks": next(costly, None),
        "assumptions": model.assumptions(),
    }


@dataclass(frozen=True)
class RoundModel:
    """Cost of a round by the number of ranks, from members of the section `round`."""

    measured: Mapping[str, Any]
    """Row of a measured round."""
    link: Mapping[str, Any]
    manager: Sequence[Mapping[str, Any]]

    @cached_property
    def own_seconds(self) -> float:
        """Cost of a round to each rank by itself, whatever their number; 0 if that cannot be told."""
        ranks = self.measured["ranks"]
        modelled = self.manager_seconds(ranks) + self.network_seconds(ranks)
        return max(float(self.measured["seconds"]["median"]) - modelled, 0.0)

    @cached_property
    def bytes_per_rank(self) -> int:
        """Bytes of the messages of a round, which are a result and an assignment, int64 each."""
        from mpi_pi.parallel.messages import WORK_RESULT_COLUMNS, Assignment  # NumPy, see `efficiency`

        return 8 * (WORK_RESULT_COLUMNS + len(Assignment)) + 2 * HEADER_BYTES

    def manager_seconds(self, ranks: int) -> float:
        """Interpolate the measured times linearly, and extrapolate the last two of them."""
        times = [(row["ranks"], row["seconds"]["median"]) for row in self.manager]
        pairs = list(itertools.pairwise(times)) or [((0, 0.0), times[0])]
        (n0, t0), (n1, t1) = next((pair for pair in pairs if ranks <= pair[1][0]), pairs[-1])
        return max(float(t0 + (t1 - t0) * (ranks - n0) / (n1 - n0)), 0.0)

    def network_seconds(self, ranks: int) -> float:
        """Return the time there and back along a binary tree, and of all bytes through rank 0's link."""
        steps = 2 * math.ceil(math.log2(ranks))
        trips = steps * self.link["latency_seconds"]
        return float(trips + ranks * self.bytes_per_rank / self.link["bytes_per_second"])

    def round_seconds(self, ranks: int) -> float:
        """Return the cost of a round besides counting."""
        return self.own_seconds + self.manager_seconds(ranks) + self.network_seconds(ranks)

    def efficiency(self, ranks: int) -> float:
        """Return the share of time spent counting, in rounds as long as `LoadBalancer` makes them."""
        from mpi_pi.parallel.load_balancer import DEFAULT  # NumPy, which the report does not need

        cost = self.round_seconds(ranks)
        # The load balancer goes by the least wait, that of rank 0: for results, and for the manager.
        wait = cost - self.network_seconds(ranks) / 2
        counting = max(DEFAULT.round_nanoseconds / 1e9, DEFAULT.wait_factor * wait)
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
        link = f"the link to {self.link['host']}" if self.measured["hosts"] > 1 else "a link within the host"
        most, bytes_each = self.manager[-1]["ranks"], self.bytes_per_rank
        own = f"ranks need {self.own_seconds * 1e3:.3g} ms for themselves: what is left of the measured round"
        if not self.own_seconds:
            own = "ranks need no time for themselves: network and planner are more than the measured round"
        return [
            f"reports and orders go along binary trees, each step at the latency of {link}",
            f"rank 0 receives and sends {bytes_each} bytes for each rank at the bandwidth of that link",
            f"network and planner do not overlap; the planner goes on growing as it does up to {most} ranks",
            f"{own} of {self.measured['ranks']}",
            "all ranks are equally fast, nobody else uses network and cores, and the run has many rounds",
        ]
