"""The picture of the work of ranks, or of hosts, over time: counting or waiting."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import FigureBase
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from mpi_pi.formatting import format_percent, shortened
from mpi_pi.model.result import Result, RoundRecord, add_pairs
from mpi_pi.report.plots.style import DARK, INK, Look, Panel

MAX_BARS = 16
"""Maximum of rows that are drawn as bars with names; if there are more, each is a row of pixels."""

MAX_ROUNDS = 256
"""Maximum of rounds drawn as bars; if there are more, neighbours are added up."""

MAX_NAME_LETTERS = 20

STRIP_COLUMNS = 800
"""Pixels of each row of a strip."""

COUNTING, LOST, WAITING = "#3f7fb5", INK, "#e6ebf0"


def panel(result: Result) -> Panel:
    """Return the timeline of a run that has rounds."""
    rows = rows_of([row.info.host for row in result.ranks])
    height = 1.5 + 0.25 * min(len(rows.names), MAX_BARS)
    return Panel("Work over time", lambda figure: timeline(figure, result, rows), wide=True, height=height)


class Rows(NamedTuple):
    """Rows of the picture: ranks, or hosts with all of their ranks."""

    kind: str
    names: list[str]
    of_rank: NDArray[np.intp]
    """The row of each rank, (ranks,)."""


def rows_of(hosts: Sequence[str]) -> Rows:
    """Return a row for each rank, if these are few or on one host, otherwise for each host.

    `hosts` has the host of each rank.
    """
    places = {host: place for place, host in enumerate(dict.fromkeys(hosts))}
    short = short_names(list(places))
    of_rank = np.array([places[host] for host in hosts])
    if len(places) == 1:
        return Rows("rank", [f"rank {rank}" for rank in range(len(hosts))], np.arange(len(hosts)))
    if len(hosts) <= MAX_BARS and len(hosts) > len(places):
        names = [f"{short[place]}, rank {rank}" for rank, place in enumerate(of_rank)]
        return Rows("rank", names, np.arange(len(hosts)))
    return Rows("host", short, of_rank)


def short_names(hosts: Sequence[str]) -> list[str]:
    """Return host names without domain, and long ones without their middle, if they still differ then."""
    first = [host.split(".")[0] for host in hosts]
    names = first if len(set(first)) == len(hosts) else list(hosts)
    cut = [shortened(name, MAX_NAME_LETTERS) for name in names]
    return cut if len(set(cut)) == len(hosts) else names


def seconds_of(rows: Sequence[RoundRecord], of_rank: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the seconds of the mean rank of each row in each round, float64, (rounds, rows, 3).

    The last axis is time spent on counting what is kept, on counting what will be counted again, and on
    waiting for the next round.
    """
    ranks = np.bincount(of_rank)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(of_rank, values) / ranks)

    seconds = np.zeros((len(rows), len(ranks), 3))
    ends = [row.start_seconds for row in rows[1:]] + [rows[-1].end_seconds]
    for place, (row, end) in enumerate(zip(rows, ends, strict=True)):
        counting = row.count_nanoseconds / 1e9
        lost = counting * row.lost_units / np.maximum(row.units, 1)
        waiting = np.maximum(end - row.start_seconds - counting, 0)
        seconds[place] = np.stack([mean(counting - lost), mean(lost), mean(waiting)], axis=1)
    return seconds


def fewer(rows: Sequence[RoundRecord], most: int) -> list[RoundRecord]:
    """Return at most `most` records, in which neighbouring rounds are added up."""
    rows = list(rows)
    while len(rows) > most:
        rows = add_pairs(rows)
    return rows


def timeline(figure: FigureBase, result: Result, rows: Rows) -> None:
    """Draw the rows over time, few as bars and many as a strip of pixels."""
    rounds = result.timeline.records
    if len(rows.names) <= MAX_BARS:
        axes = figure.subplots()
        rounds = fewer(rounds, MAX_ROUNDS)
        bars(axes, rounds, seconds_of(rounds, rows.of_rank))
        axes.set_yticks(range(len(rows.names)), rows.names)
        axes.set_ylim(len(rows.names) - 0.4, -0.6)
    else:
        axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(7, 1))
        strip(axes, rounds, seconds_of(rounds, rows.of_rank))
        speeds(beside, result, rows)
        axes.yaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
        order = "" if rows.kind == "rank" else ", in the order of the ranks"
        axes.set_ylabel(f"{rows.kind}{order}")
    axes.set_xlim(0, rounds[-1].end_seconds)
    axes.set_xlabel("seconds since the first round began")
    kept, lost, waiting = seconds_of(rounds, rows.of_rank).sum(axis=(0, 1))
    spent = [("counting", COUNTING, kept), ("counted again later", LOST, lost), ("waiting", WAITING, waiting)]
    total, edge = max(kept + lost + waiting, 1e-9), Look(edgecolor=INK, linewidth=0.5)
    patches = [
        Patch(facecolor=color, label=f"{name} ({format_percent(seconds, total)})", **edge)
        for name, color, seconds in spent
        if seconds or color != LOST
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=3)


def bars(axes: Axes, rounds: Sequence[RoundRecord], seconds: NDArray[np.float64]) -> None:
    """Draw bars for each row: in each round counting, then waiting."""
    starts = np.array([row.start_seconds for row in rounds])
    for place in range(seconds.shape[1]):
        begins = starts[:, np.newaxis] + np.cumsum(seconds[:, place], axis=1) - seconds[:, place]
        for what, color in enumerate((COUNTING, LOST, WAITING)):
            spans = np.stack([begins[:, what], seconds[:, place, what]], axis=1)
            drawn = spans[spans[:, 1] > 0].tolist()
            axes.broken_barh(drawn, (place - 0.4, 0.8), facecolors=color, linewidth=0)


def strip(axes: Axes, rounds: Sequence[RoundRecord], seconds: NDArray[np.float64]) -> None:
    """Draw pixels for each row, the darker the busier."""
    start, end = rounds[0].start_seconds, rounds[-1].end_seconds
    shares = shares_over_time(rounds, seconds, np.linspace(start, end, STRIP_COLUMNS + 1))
    palette = np.array([to_rgb(color) for color in (COUNTING, LOST, WAITING)])
    rows = seconds.shape[1]
    extent = (start, end, rows - 0.5, -0.5)
    axes.imshow(shares @ palette, extent=extent, aspect="auto", interpolation="antialiased")


def speeds(axes: Axes, result: Result, rows: Rows) -> None:
    """Draw the rate of each row as a dot, so that a single slow one of many is seen."""
    points_per_second = np.bincount(rows.of_rank, [row.points_per_second for row in result.ranks])
    axes.plot(points_per_second, np.arange(len(rows.names)), ".", color=DARK, markersize=2)
    axes.set(xlim=(0, 1.1 * max(points_per_second.max(), 1)), xlabel="points/s")
    axes.xaxis.set_major_locator(MaxNLocator(2))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(left=False, labelleft=False)


def shares_over_time(
    rounds: Sequence[RoundRecord], seconds: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how the rows spent the time between two edges, (rows, edges - 1, 3); the last axis adds up to 1.

    That axis is the one of `seconds`. The work of a rank in a round is taken as spread evenly over the round.
    """
    times = [row.start_seconds for row in rounds] + [rounds[-1].end_seconds]
    done = np.concatenate([np.zeros((1, *seconds.shape[1:])), np.cumsum(seconds, axis=0)])
    of_rows = np.moveaxis(done[..., :2], 0, -1)  # (rows, 2, rounds + 1)
    spent = np.array([[np.interp(edges, times, of_kind) for of_kind in of_row] for of_row in of_rows])
    busy = np.moveaxis(np.diff(spent) / np.diff(edges), -1, 1).clip(0, 1)
    return np.concatenate([busy, 1 - busy.sum(axis=-1, keepdims=True).clip(0, 1)], axis=-1)
