"""Pictures of a network: latency and bandwidth over message sizes, and maps of all pairs."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import FigureBase
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullLocator

from mpi_pi.bench import links as links_of
from mpi_pi.bench.links import Link, Quantity
from mpi_pi.report.plots import style
from mpi_pi.report.plots.row_times import short_names
from mpi_pi.report.plots.style import DARK, INK, LIGHT, MIDDLE, Look, Panel

Section = Mapping[str, Any]

MAX_LINES = 6
"""Maximum of hosts with a line each; of more, the range, the median and the worst host are drawn."""
MAX_NAMED = 16
"""Maximum of names beside a map."""
MAX_NUMBERS = 10
"""Maximum of hosts whose pairs have their numbers written into the map."""

MAP_HEIGHT = 4.4

MIN_RANGE = 2.0
"""Least quotient of the ends of a colour scale: pairs that hardly differ shall look alike."""

LINES: list[Look] = [
    {"color": color, "linestyle": dashes, "marker": marker}
    for dashes, markers in (("-", "os^"), ("--", "Dvx"))
    for color, marker in zip((DARK, MIDDLE, INK), markers, strict=True)
]

UNITS = {"latency_seconds": "s", "bytes_per_second": "B/s"}

SLOWER = LinearSegmentedColormap.from_list("slower", ["#f4f8fb", LIGHT, "#7ea3c4", DARK, INK])
UNKNOWN = "#e2e2e2"
"""Colour of a host with itself, and of pairs that were not measured."""


def panels(section: Section) -> Iterator[Panel]:
    """Generate the panels of those links that were measured."""
    if any(link["rows"] for link in section["links"]):
        yield Panel("Latency over message size", lambda figure: curves(figure, section, "latency_seconds"))
        yield Panel("Bandwidth over message size", lambda figure: curves(figure, section, "bytes_per_second"))
    links = section["pairs"]["links"] if section["pairs"] else ()
    if any(link["rows"] for link in links):
        for quantity in links_of.quantities(links):
            yield _panel_of_pairs(section, quantity)


def _panel_of_pairs(section: Section, quantity: Quantity) -> Panel:
    title = f"{quantity.name.capitalize()} of pairs, messages of {style.binary_size(quantity.message_bytes)}"
    return Panel(title, lambda figure: pair_map(figure, section, quantity), height=MAP_HEIGHT)


def curves(figure: FigureBase, section: Section, member: str) -> None:
    """Draw a quantity over the message size, for each link or, of many, for the median and the worst one."""
    axes = figure.subplots()
    links = [link for link in section["links"] if link["rows"]]
    named = links_of.names(section, section["links"])
    names = dict(zip(named, short_names([*named.values()]), strict=True))
    sizes = sorted({row["bytes"] for link in links for row in link["rows"]})
    if len(links) <= MAX_LINES:
        for place, (link, look) in enumerate(zip(links, LINES, strict=False)):
            label = " – ".join(names[rank] for rank in link["ranks"])
            wide = len(links) - 1 - place  # lines that coincide are seen one beneath the other
            _curve(
                axes, link, member, look | {"label": label, "linewidth": 1.2 + wide, "markersize": 3 + wide}
            )
    else:
        _range_of(axes, links, member)
        if worst := links_of.worst_of_all(links, [Quantity(member, size) for size in sizes]):
            label = " – ".join(names[rank] for rank in worst.link["ranks"])
            look = LINES[1] | {"label": f"{label}, the slowest", "linewidth": 1.2, "markersize": 3}
            _curve(axes, worst.link, member, look)
    axes.set_xscale("log", base=2)
    axes.set_xticks(style.spaced(sizes, 7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.binary_size(round(value))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yscale("log")
    _label_values(axes.yaxis, *axes.get_ylim(), UNITS[member])
    axes.set(xlabel="size of a message", ylabel=Quantity(member, 1).name)
    axes.grid(visible=True)
    style.legend(figure, axes, columns=2)


def _label_values(axis: Axis, low: float, high: float, unit: str) -> None:
    """Label a logarithmic axis at powers of ten, and a short one also between them."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=12))
    axis.set_major_formatter(EngFormatter(unit=unit))
    axis.set_minor_locator(NullLocator())


def _curve(axes: Axes, link: Link, member: str, look: Look) -> None:
    sizes = [row["bytes"] for row in link["rows"]]
    values = np.array([[row[member][end] for end in ("low", "median", "high")] for row in link["rows"]]).T
    error_bars = np.array([values[1] - values[0], values[2] - values[1]])
    axes.errorbar(sizes, values[1], error_bars, capsize=2, **look)


def _range_of(axes: Axes, links: Sequence[Link], member: str) -> None:
    """Draw the range and the median of many links."""
    by_size: dict[int, list[float]] = {}
    for row in (row for link in links for row in link["rows"]):
        by_size.setdefault(row["bytes"], []).append(row[member]["median"])
    sizes = sorted(by_size)
    low, high = ([of(by_size[size]) for size in sizes] for of in (min, max))
    axes.fill_between(sizes, low, high, color=LIGHT, linewidth=0.5, label=f"all {len(links)} links")
    medians = [statistics.median(by_size[size]) for size in sizes]
    axes.plot(sizes, medians, markersize=3.5, linewidth=1.2, label="median of all", **LINES[0])


def pair_map(figure: FigureBase, section: Section, quantity: Quantity) -> None:
    """Draw a square for each sender (row) and receiver, the darker the slower, by a logarithmic scale."""
    axes = figure.subplots()
    links = section["pairs"]["links"]
    names = links_of.names(section, links)
    values = np.array(links_of.matrix(list(names), links, quantity))
    lowest, highest = float(np.nanmin(values)), float(np.nanmax(values))
    if quantity.is_time:  # the scale begins at the best pair, and pairs that hardly differ look alike
        highest = max(highest, MIN_RANGE * lowest)
    else:
        lowest = min(lowest, highest / MIN_RANGE)
    norm = LogNorm(lowest, highest)
    colors = SLOWER if quantity.is_time else SLOWER.reversed()
    axes.set_facecolor(UNKNOWN)
    image = axes.imshow(values, cmap=colors, norm=norm, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, label=quantity.name, pad=0.02, aspect=30)
    _label_values(bar.ax.yaxis, lowest, highest, UNITS[quantity.member])
    axes.set(xlabel="to", ylabel="from")
    _name_ends(axes, short_names([*names.values()]))
    if len(names) <= MAX_NUMBERS:
        _write_numbers(axes, values, quantity, norm)
    _mark_silent(figure, axes, links, list(names))


def _name_ends(axes: Axes, names: Sequence[str]) -> None:
    """Name rows and columns, of many those for which there is room."""
    step = math.ceil(len(names) / MAX_NAMED)
    shown = range(0, len(names), step)
    axes.set_yticks(shown, [names[place] for place in shown])
    long = max(map(len, names)) * len(shown) > 36
    axes.set_xticks(shown, [names[place] for place in shown], rotation=90 if long else 0)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write_numbers(axes: Axes, values: Any, quantity: Quantity, norm: LogNorm) -> None:
    """Write the value of each pair into its square, in the unit of the best of them."""
    exponent = 3 * math.floor(math.log10(np.nanmin(values) if quantity.is_time else np.nanmax(values)) / 3)
    for (row, column), value in np.ndenumerate(values / 10.0**exponent):
        if not math.isnan(value):
            dark = bool(norm(values[row, column]) > 0.5) == quantity.is_time
            text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
            look: Look = {"ha": "center", "va": "center", "fontsize": 7, "color": "white" if dark else INK}
            axes.text(column, row, text, **look)


def _mark_silent(figure: FigureBase, axes: Axes, links: Sequence[Link], ends: Sequence[int]) -> None:
    pairs = [tuple(ends.index(rank) for rank in link["ranks"]) for link in links if link["silent"]]
    if pairs:
        rows, columns = zip(*pairs, strict=True)
        axes.plot(columns, rows, "x", color=MIDDLE, label="no message comes through")
        style.legend(figure, axes)
