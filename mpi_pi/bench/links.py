"""Numbers of a network's links side by side: medians, the worst pair, and a matrix of all pairs."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mpi_pi.bench.median import MedianCI

Link = Mapping[str, Any]

MAX_BYTES = 1 << 22
"""Size of the largest message, unless there is no time for it."""


class Quantity(NamedTuple):
    """A quantity of all links."""

    member: str
    """Member of a row in the document."""
    message_bytes: int

    @property
    def is_time(self) -> bool:
        """True if less is better."""
        return self.member.endswith("seconds")

    @property
    def name(self) -> str:
        """The word for it."""
        return "latency" if self.is_time else "bandwidth"

    def of(self, link: Link) -> MedianCI | None:
        """Return its value of a link; None if that was not measured."""
        rows = (row[self.member] for row in link["rows"] if row["bytes"] == self.message_bytes)
        return next(map(MedianCI.from_fields, rows), None)


class Worst(NamedTuple):
    """The link that differs most from the median, to the worse."""

    link: Link
    value: float
    median: float

    @property
    def times(self) -> float:
        """Its value over the median."""
        return self.value / self.median


def quantities(links: Sequence[Link]) -> tuple[Quantity, Quantity]:
    """Return the latency of the smallest messages, and the bandwidth with the largest that all links have."""
    sizes = [{row["bytes"] for row in link["rows"]} for link in links if link["rows"]]
    common = set.intersection(*sizes) if sizes else {1}
    return Quantity("latency_seconds", min(common)), Quantity("bytes_per_second", max(common))


def worst(links: Sequence[Link], quantity: Quantity) -> Worst | None:
    """Return the slowest link; None of fewer than three, which have no norm to differ from."""
    known = [(value.median, link) for link in links if (value := quantity.of(link))]
    if len(known) < 3:
        return None
    median = statistics.median(value for value, _ in known)
    extreme, link = (max if quantity.is_time else min)(known, key=lambda pair: pair[0])
    return Worst(link, extreme, median)


def worst_of_all(links: Sequence[Link], quantities: Sequence[Quantity]) -> Worst | None:
    """Return the link that differs most in any of some quantities; None of fewer than three."""
    found = (worst(links, quantity) for quantity in quantities)
    return max(filter(None, found), key=lambda one: abs(math.log(one.times)), default=None)


def names(section: Mapping[str, Any], links: Sequence[Link]) -> dict[int, str]:
    """Return the names of the ends of links by rank, in order: hosts, or ranks of a single host."""
    hosts = {rank: host for link in links for rank, host in zip(link["ranks"], link["hosts"], strict=True)}
    by_host = section["between"] == "hosts"
    return {rank: hosts[rank] if by_host else f"rank {rank}" for rank in sorted(hosts)}


def matrix(ends: Sequence[int], links: Sequence[Link], quantity: Quantity) -> list[list[float]]:
    """Return the medians of a quantity by sender and receiver, in the order of `ends`; nan where unknown."""
    place = {rank: index for index, rank in enumerate(ends)}
    values = [[math.nan] * len(ends) for _ in ends]
    for link in links:
        a, b = (place[rank] for rank in link["ranks"])
        if value := quantity.of(link):
            values[a][b] = value.median
    return values
