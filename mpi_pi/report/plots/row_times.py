"""How the ranks and hosts of a run spent their time: the numbers of the timeline."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_pi.formatting import shortened
from mpi_pi.model.result import Repair, Result, RoundRecord, add_pairs

MAX_BARS = 16
"""Maximum of rows that are drawn as bars with names; if there are more, each is a row of pixels."""

MAX_NAME_LETTERS = 20

KINDS = ("counting", "counted again later", "waiting", "repairs")
"""Uses of time, in the order in which a round is drawn."""


class Rows(NamedTuple):
    """Rows of the picture: ranks, or hosts with all of their ranks."""

    kind: str
    names: list[str]
    of_rank: NDArray[np.intp]
    """The row of each rank, (ranks,)."""
    lives: NDArray[np.float64]
    """Seconds until each rank was lost, inf if it was not, (ranks,)."""

    @property
    def row_lives(self) -> NDArray[np.float64]:
        """Seconds until all ranks of each row were lost, (rows,)."""
        lives = np.zeros(len(self.names))
        np.maximum.at(lives, self.of_rank, self.lives)
        return lives


def rows_of(result: Result) -> Rows:
    """Return a row for each rank, if these are few or on one host, otherwise for each host."""
    ranks, hosts = [row.rank for row in result.ranks], [row.info.host for row in result.ranks]
    lives = np.array([result.losses[rank].seconds if rank in result.losses else np.inf for rank in ranks])
    places = {host: place for place, host in enumerate(dict.fromkeys(hosts))}
    short, of_host = short_names(list(places)), np.array([places[host] for host in hosts])
    if len(places) == 1:
        return Rows("rank", [f"rank {rank}" for rank in ranks], np.arange(len(ranks)), lives)
    if len(ranks) <= MAX_BARS and len(ranks) > len(places):
        names = [f"{short[place]}, rank {rank}" for rank, place in zip(ranks, of_host.tolist(), strict=True)]
        return Rows("rank", names, np.arange(len(ranks)), lives)
    return Rows("host", short, of_host, lives)


def short_names(hosts: Sequence[str]) -> list[str]:
    """Return host names without domain, and long ones without their middle, if they still differ then."""
    first = [host.split(".")[0] for host in hosts]
    names = first if len(set(first)) == len(hosts) else list(hosts)
    cut = [shortened(name, MAX_NAME_LETTERS) for name in names]
    return cut if len(set(cut)) == len(hosts) else names


class Span(NamedTuple):
    """A span of time: a record of rounds, or the repair that comes before it."""

    start: float
    end: float
    """Its end; from then to the start of the next span, ranks wait."""
    record: RoundRecord | None
    """None for a repair, with the attempt at a round that it gave up."""
    repair_seconds: float
    """Time for repairs, also for those between the rounds of a record of several."""


def spans_of(records: Sequence[RoundRecord], repairs: Sequence[Repair]) -> list[Span]:
    """Return the spans of a run in order."""
    spans, now = [], 0.0
    for record in records:
        before = sum(repair.cost_seconds for repair in repairs if repair.round == record.first_round)
        rounds = range(record.first_round + 1, record.last_round + 1)
        within = sum(repair.cost_seconds for repair in repairs if repair.round in rounds)
        if before:
            start = max(record.start_seconds - before, now)
            spans.append(Span(start, record.start_seconds, None, record.start_seconds - start))
        spans.append(Span(record.start_seconds, record.end_seconds, record, within))
        now = record.end_seconds
    return spans


def edges_of(spans: Sequence[Span]) -> NDArray[np.float64]:
    """Return when the spans start, and when the last one ends, (spans + 1,)."""
    return np.array([span.start for span in spans] + [spans[-1].end])


def seconds_of(
    spans: Sequence[Span], of_rank: NDArray[np.intp], lives: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how the mean rank of each row spent its time, float64, (spans, rows, KINDS).

    `of_rank` has the row of each rank, `lives` the time of its loss, or inf. A row lives as long as one of
    its ranks.
    """
    seconds = np.zeros((len(spans), int(of_rank.max()) + 1, len(KINDS)))
    for place, (span, (start, end)) in enumerate(
        zip(spans, itertools.pairwise(edges_of(spans)), strict=True)
    ):
        there = (np.minimum(lives, end) - start).clip(0)
        repair = np.minimum(there, span.repair_seconds)
        counting, again = np.zeros((2, len(lives)))
        if span.record:
            # The time of several lost ranks may stand in the row of one.
            most = np.where(np.isinf(lives), np.inf, there - repair)
            counting = np.minimum(span.record.count_nanoseconds / 1e9, most)
            again = counting * span.record.lost_units / np.maximum(span.record.units, 1)
        waiting = (there - repair - counting).clip(0)
        longest = np.zeros(seconds.shape[1])
        np.maximum.at(longest, of_rank, there)
        of_row = longest / np.maximum(np.bincount(of_rank, there), 1e-300)
        for kind, of_ranks in enumerate((counting - again, again, waiting, repair)):
            seconds[place, :, kind] = np.bincount(of_rank, of_ranks) * of_row
    return seconds


def fewer(rows: Sequence[RoundRecord], most: int) -> list[RoundRecord]:
    """Return at most `most` records, in which neighbouring rounds are added up."""
    rows = list(rows)
    while len(rows) > most:
        rows = add_pairs(rows)
    return rows


def shares_over_time(
    edges: NDArray[np.float64], seconds: NDArray[np.float64], rows: Rows, times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how the rows spent the time between any two `times`, (rows, times - 1, KINDS + 1).

    The last share is the time after the loss of all ranks of the row; the shares add up to 1. What a row did
    in a span, which `edges` limit, is taken as spread evenly over it, or over the rest of the row's life.
    """
    done = np.concatenate([np.zeros((1, *seconds.shape[1:])), np.cumsum(seconds, axis=0)])
    spent = np.array(
        [
            [np.interp(times, np.minimum(edges, life), of_kind) for of_kind in of_row.T]
            for of_row, life in zip(np.moveaxis(done, 1, 0), rows.row_lives, strict=True)
        ]
    )  # (rows, KINDS, times)
    shares = np.moveaxis(np.diff(spent) / np.diff(times), -1, 1).clip(0, 1)
    shares /= np.maximum(shares.sum(axis=-1, keepdims=True), 1)
    return np.concatenate([shares, 1 - shares.sum(axis=-1, keepdims=True)], axis=-1)
