"""Latency and bandwidth of the network over message sizes, between rank 0 and each host, and of all pairs.

Rank 0 conducts by a CommandLoop, without any collective operation: two hosts that cannot reach each other are
named, and do not hold up the others.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mpi_pi.bench import pairing
from mpi_pi.bench.document import Progress
from mpi_pi.bench.links import MAX_BYTES
from mpi_pi.bench.median import MedianCI
from mpi_pi.mpi import runtime
from mpi_pi.mpi.command_loop import Action, CommandLoop, KeepAlive
from mpi_pi.mpi.message_times import Effort, Pair, SizeTimes
from mpi_pi.mpi.peer_timeout import PeerTimeout

if TYPE_CHECKING:
    from mpi4py import MPI

QUICK_SIZES = tuple(4**power for power in range(12))
FULL_SIZES = tuple(1 << power for power in range(23))
PAIR_SIZES = (1, 1 << 14, 1 << 20)
"""The latency of a pair is that of the smallest size, its bandwidth that of the largest."""

MAX_ONE_BY_ONE = 12
"""Hosts whose pairs are measured one by one; of more, pairs of different hosts are measured at once."""

ONE_BY_ONE, TOURNAMENT = "one pair at a time", "tournament: pairs of different hosts at once"

BETWEEN_HOSTS, BETWEEN_RANKS = "hosts", "ranks"


MAX_SILENCE_SECONDS = 300.0
"""Time for waits for ranks that turn out to be silent."""


@dataclass(frozen=True)
class TimeBudget:
    """Time for all links, or all pairs, whatever their number."""

    turns: int
    seconds_each: float
    seconds: float
    """Time for all of them, if the network is fast enough for it."""
    max_seconds_each: float
    max_seconds: float
    """Time after which the rest is left out."""

    def effort(self, sizes: tuple[int, ...], steps: int) -> Effort:
        """Return the effort for each of so many steps, which follow one another."""
        seconds = min(self.seconds_each, self.seconds / max(steps, 1))
        most = min(self.max_seconds_each, self.max_seconds / max(steps, 1))
        return Effort(sizes, self.turns, seconds, max(most, seconds))


QUICK_LINKS, QUICK_PAIRS = TimeBudget(7, 1.0, 10.0, 20.0, 60.0), TimeBudget(7, 0.15, 10.0, 6.0, 60.0)
FULL_LINKS, FULL_PAIRS = TimeBudget(15, 10.0, 60.0, 60.0, 240.0), TimeBudget(15, 1.0, 60.0, 10.0, 240.0)


class Place(NamedTuple):
    """A rank that stands for its host."""

    rank: int
    host: str


def actions(comm: "MPI.Intracomm") -> Mapping[str, Action]:
    """Return the actions of a rank for a CommandLoop."""

    def measure(argument: Any, keep_alive: KeepAlive) -> list[Any] | None:
        """Measure the pair that this rank is in; return its rows where it leads, and [] after a silence."""
        pairs, effort = argument
        for leader, follower in pairs:
            if comm.rank in (leader, follower):
                other = follower if comm.rank == leader else leader
                pair = Pair(comm, other, MAX_BYTES, keep_alive)
                try:
                    if comm.rank == leader:
                        return _rows(pair.lead(Effort(*effort)))
                    pair.follow()
                except PeerTimeout:
                    return []
        return None

    return {"host": lambda _, __: runtime.host_name(), "measure": measure}


def _rows(sizes: Sequence[SizeTimes]) -> list[dict[str, Any]]:
    return [
        {
            "bytes": size.message_bytes,
            "window": size.window,
            "latency_seconds": MedianCI.of(size.latency_seconds).as_fields(),
            "bytes_per_second": MedianCI.of(size.bytes_per_second).as_fields(),
        }
        for size in sizes
    ]


def conduct(loop: CommandLoop, ranks: int, pairs: bool, full: bool, progress: Progress) -> dict[str, Any]:
    """Return the section `network` of a benchmark, on rank 0. `loop` has the `actions` on each rank.

    With `pairs`, those of all hosts are measured, too, or on a single host those of all ranks.
    """
    survey = _Survey(loop, ranks)
    first, *others = survey.hosts
    between = BETWEEN_HOSTS
    if not others:
        between, others = BETWEEN_RANKS, survey.places[1:2]
    rounds = [[(first.rank, other.rank)] for other in others]
    share = 0.5 if pairs else 1.0
    sizes = FULL_SIZES if full else QUICK_SIZES
    links = survey.measure(
        rounds, sizes, FULL_LINKS if full else QUICK_LINKS, lambda done: progress(done * share)
    )
    section: dict[str, Any] = {"between": between, "links": links, "pairs": None}
    if pairs and others:
        places = [place.rank for place in (survey.hosts if between == BETWEEN_HOSTS else survey.places)]
        few = len(places) <= MAX_ONE_BY_ONE
        rounds = pairing.both_ways((pairing.one_by_one if few else pairing.tournament)(places))
        measured = survey.measure(
            rounds, PAIR_SIZES, FULL_PAIRS if full else QUICK_PAIRS, lambda done: progress((1 + done) / 2)
        )
        section["pairs"] = {
            "schedule": ONE_BY_ONE if few else TOURNAMENT,
            "links": measured,
            "left_out": sum(map(len, rounds)) - len(measured),
        }
    return section


def silent_links(section: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the links without an answer, each once."""
    found = [*section["links"], *(section["pairs"] or {"links": ()})["links"]]
    links = {tuple(link["ranks"]): link for link in found if link["silent"]}
    return [link for (first, second), link in links.items() if first < second]


def silence(section: Mapping[str, Any], problems: Mapping[int, str]) -> Iterator[str]:
    """Generate a line for each silent link, given the errors of ranks that have one."""
    for link in silent_links(section):
        ends = [
            f"rank {rank} on host {host}" for rank, host in zip(link["ranks"], link["hosts"], strict=True)
        ]
        known = [
            f"{end}: {problems[rank]}"
            for end, rank in zip(ends, link["ranks"], strict=True)
            if rank in problems
        ]
        yield "; ".join(known) or f"no message comes through between {' and '.join(ends)}"


class _Survey:
    """Measurements of pairs of ranks, on rank 0."""

    def __init__(self, loop: CommandLoop, ranks: int) -> None:
        self._loop = loop
        names = loop.call_on_all("host")
        self.places = [Place(rank, names.get(rank) or f"host of rank {rank}") for rank in range(ranks)]
        self.hosts = list({place.host: place for place in reversed(self.places)}.values())[::-1]
        """The first rank of each host."""
        self._silent: set[frozenset[int]] = set()

    def measure(
        self,
        rounds: Sequence[Sequence[pairing.Pair]],
        sizes: tuple[int, ...],
        budget: TimeBudget,
        progress: Progress,
    ) -> list[dict[str, Any]]:
        """Measure the pairs of a round at once, and one round after the other; return their links.

        What there is no time for is left out. To wait for silent ranks has a time of its own.
        """
        effort = budget.effort(sizes, len(rounds))
        left, patience = budget.max_seconds, MAX_SILENCE_SECONDS
        links: list[dict[str, Any]] = []
        for done, pairs in enumerate(rounds, start=1):
            if left < 0 or patience < 0:
                break
            start = time.monotonic()
            heard = [pair for pair in pairs if {*pair} not in self._silent and not self._loop.lost & {*pair}]
            answers = self._loop.call_on_all("measure", (heard, tuple(effort))) if heard else {}
            found = [self._link(pair, answers.get(pair[0]) or []) for pair in pairs]
            links += found
            passed = time.monotonic() - start
            if any(link["silent"] for link in found):
                patience -= passed
            else:
                left -= passed
            progress(done / len(rounds))
        return links

    def _link(self, pair: pairing.Pair, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        if not rows:
            self._silent.add(frozenset(pair))
        hosts = [self.places[rank].host for rank in pair]
        return {"hosts": hosts, "ranks": list(pair), "silent": not rows, "rows": list(rows)}
