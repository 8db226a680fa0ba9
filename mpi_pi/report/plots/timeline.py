"""The picture of the work of ranks, or of hosts, over time: counting or waiting, and losses of ranks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from mpi_pi.formatting import format_percent
from mpi_pi.model.result import Result
from mpi_pi.report.plots.row_times import (
    KINDS,
    MAX_BARS,
    Rows,
    Span,
    edges_of,
    fewer,
    rows_of,
    seconds_of,
    shares_over_time,
    spans_of,
)
from mpi_pi.report.plots.style import DARK, INK, Look, Panel

MAX_ROUNDS = 256
"""Maximum of rounds drawn as bars; if there are more, neighbours are added up."""

STRIP_COLUMNS = 800
"""Pixels of each row of a strip."""

COLORS = COUNTING, AGAIN, WAITING, REPAIR = "#3f7fb5", INK, "#e6ebf0", "#f0a03c"
"""Colours of the kinds of time."""

GONE = "#ffffff"
"""Colour of the time after a row was lost."""


LOSS: Look = {
    "color": INK,
    "linewidth": 0.8,
    "linestyle": ":",
    "marker": "x",
    "markersize": 6,
    "markeredgewidth": 1.5,
}


def panel(result: Result) -> Panel:
    """Return the timeline of a run that has rounds."""
    rows = rows_of(result)
    height = 1.5 + 0.25 * min(len(rows.names), MAX_BARS)
    return Panel("Work over time", lambda figure: timeline(figure, result, rows), wide=True, height=height)


def timeline(figure: FigureBase, result: Result, rows: Rows) -> None:
    """Draw the rows over time, few as bars and many as a strip of pixels."""
    records = result.timeline.records
    if len(rows.names) <= MAX_BARS:
        axes = figure.subplots()
        spans = spans_of(fewer(records, MAX_ROUNDS), result.repairs)
        bars(axes, spans, seconds_of(spans, rows.of_rank, rows.lives))
        axes.set_yticks(range(len(rows.names)), rows.names)
        axes.set_ylim(len(rows.names) - 0.4, -0.6)
    else:
        axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(7, 1))
        spans = spans_of(records, result.repairs)
        strip(axes, spans, seconds_of(spans, rows.of_rank, rows.lives), rows)
        speeds(beside, result, rows)
        axes.yaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
        if rows.kind == "rank":
            numbers = {place: str(rank.rank) for place, rank in enumerate(result.ranks)}
            axes.yaxis.set_major_formatter(FuncFormatter(lambda place, _: numbers.get(place, "")))
        axes.set_ylabel("rank" if rows.kind == "rank" else "host, in the order of the ranks")
    losses(axes, result, rows)
    axes.set_xlim(0, max([records[-1].end_seconds, *(repair.seconds for repair in result.repairs)]))
    axes.set_xlabel("seconds since the first round began")
    legend(figure, seconds_of(spans, rows.of_rank, rows.lives), len(result.losses))


def legend(figure: FigureBase, seconds: NDArray[np.float64], lost_ranks: int) -> None:
    """Add a legend below the picture, with the share of each kind of time."""
    total, edge = max(seconds.sum(), 1e-9), Look(edgecolor=INK, linewidth=0.5)
    handles: list[Artist] = [
        Patch(facecolor=color, label=f"{kind} ({format_percent(spent, total)})", **edge)
        for kind, color, spent in zip(KINDS, COLORS, seconds.sum(axis=(0, 1)), strict=True)
        if spent or color in (COUNTING, WAITING)
    ]
    if lost_ranks:
        handles.append(Line2D([], [], label=f"loss of ranks ({lost_ranks})", **LOSS))
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(handles) == 4 else 3)


def bars(axes: Axes, spans: Sequence[Span], seconds: NDArray[np.float64]) -> None:
    """Draw bars for each row, in each span one after the other."""
    starts = edges_of(spans)[:-1]
    for place in range(seconds.shape[1]):
        begins = starts[:, np.newaxis] + np.cumsum(seconds[:, place], axis=1) - seconds[:, place]
        for what, color in enumerate(COLORS):
            drawn = np.stack([begins[:, what], seconds[:, place, what]], axis=1)
            drawn = drawn[drawn[:, 1] > 0]
            axes.broken_barh(drawn.tolist(), (place - 0.4, 0.8), facecolors=color, linewidth=0)


def strip(axes: Axes, spans: Sequence[Span], seconds: NDArray[np.float64], rows: Rows) -> None:
    """Draw pixels for each row, the darker the busier."""
    edges = edges_of(spans)
    start, end = edges[0], edges[-1]
    shares = shares_over_time(edges, seconds, rows, np.linspace(start, end, STRIP_COLUMNS + 1))
    palette = np.array([to_rgb(color) for color in (*COLORS, GONE)])
    extent = (start, end, len(rows.names) - 0.5, -0.5)
    axes.imshow(shares @ palette, extent=extent, aspect="auto", interpolation="antialiased")


def losses(axes: Axes, result: Result, rows: Rows) -> None:
    """Draw a line at the time of each loss of ranks, and a mark in the rows of these ranks."""
    places = {rank.rank: place for rank, place in zip(result.ranks, rows.of_rank.tolist(), strict=True)}
    for repair in result.repairs:
        axes.axvline(repair.seconds, **LOSS | {"marker": ""})
        marked = sorted({places[lost.rank] for lost in repair.lost if lost.rank in places})
        if marked:  # without points, the layout would leave room for nothing
            axes.plot([repair.seconds] * len(marked), marked, clip_on=False, **LOSS | {"linestyle": ""})


def speeds(axes: Axes, result: Result, rows: Rows) -> None:
    """Draw the rate of each row as a dot, so that a single slow one of many is seen."""
    points_per_second = np.bincount(rows.of_rank, [row.points_per_second for row in result.ranks])
    axes.plot(points_per_second, np.arange(len(rows.names)), ".", color=DARK, markersize=2)
    axes.set(xlim=(0, 1.1 * max(points_per_second.max(), 1)), xlabel="points/s")
    axes.xaxis.set_major_locator(MaxNLocator(2))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(left=False, labelleft=False)
