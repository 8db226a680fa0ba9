"""Pictures of a burn-in: rate and temperature over time, of few hosts as lines, of many as rows of pixels."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from mpi_pi.burn_in.diagnosis import findings
from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.report.plots import burn_in_series as series
from mpi_pi.report.plots.row_times import short_names
from mpi_pi.report.plots.style import DARK, INK, LIGHT, MIDDLE, Look, Panel, legend

MAX_PANELS = 8
"""Maximum of hosts with a panel each."""
MAX_LINES = 8
"""Maximum of ranks of a host that have a line each."""
MAX_NAMED = 24
"""Maximum of rows with the name of their host."""

COLUMNS = 600
"""Pixels of each row."""

LOWEST_SHARE = 0.5
"""Share of the typical rate that, with all below it, has the darkest colour."""

SLOWER = LinearSegmentedColormap.from_list("slower", [INK, DARK, LIGHT, "#f4f8fb"])
WARMER = LinearSegmentedColormap.from_list("warmer", ["#fdf3e7", "#f2c492", MIDDLE, "#7a2e0e", INK])

UNITS = ((3600, "hours"), (60, "minutes"))
"""Units of time, in seconds, of which at least three are drawn."""

THROTTLED: Look = {"color": INK, "linewidth": 0, "alpha": 0.25}


class Scale(NamedTuple):
    """Colours of a map, and the values of the first and the last one."""

    colors: LinearSegmentedColormap
    lowest: float
    highest: float
    label: str
    extend: str = "neither"
    """"min" if values may be lower than the lowest."""


def panels(burn_in: BurnIn) -> Iterator[Panel]:
    """Generate the panels of a burn-in, none if no phase has begun."""
    if not burn_in.phases:
        return
    if len(burn_in.hosts) <= MAX_PANELS:
        for place, name in enumerate(short_names([host.host for host in burn_in.hosts])):
            yield _panel_of_host(burn_in, place, f"Burn-in of {name}")
        return
    height = 1.6 + min(max(0.16 * len(burn_in.hosts), 2.0), 5.0)
    title = "Rate of the slowest core of each host"
    yield Panel(title, lambda figure: rate_map(figure, burn_in), wide=True, height=height)
    if has_temperatures(burn_in):
        title = "Temperature of each host"
        yield Panel(title, lambda figure: temperature_map(figure, burn_in), wide=True, height=height)


def _panel_of_host(burn_in: BurnIn, place: int, title: str) -> Panel:
    return Panel(title, lambda figure: host_lines(figure, burn_in, place), wide=True, height=2.9)


def has_temperatures(burn_in: BurnIn) -> bool:
    """Return whether any host has told its temperature."""
    watches = (watch for outcome in burn_in.phases for watch in outcome.hosts)
    return any(sample.celsius is not None for watch in watches for sample in watch.samples)


def host_lines(figure: FigureBase, burn_in: BurnIn, host: int) -> None:
    """Draw the rates of a host's ranks, and its temperature, over time."""
    axes, ranks = figure.subplots(), burn_in.ranks_of_hosts[host]
    for number, outcome in enumerate(burn_in.phases):
        told = series.rates(outcome)
        _rate_lines(axes, told, ranks, labelled=number == 0)
        for start, end in series.throttled_times(outcome, host):
            axes.axvspan(start, end, **THROTTLED)
    axes.set_ylim(0, max(axes.get_ylim()[1], 1e-9) * 1.05)
    axes.set_ylabel("million points/s")
    if any(series.throttled_times(outcome, host) for outcome in burn_in.phases):
        axes.axvspan(0, 0, label="throttled, or under-voltage", **THROTTLED)
    if any(not np.isnan(series.temperatures(outcome, host).values).all() for outcome in burn_in.phases):
        beside = axes.twinx()
        for outcome in burn_in.phases:
            warm = series.temperatures(outcome, host)
            if warm.values.size:
                beside.plot(warm.edges[1:], warm.values[0], color=MIDDLE, linewidth=1.6, linestyle="--")
        beside.set_ylabel("°C", color=MIDDLE)
        beside.tick_params(axis="y", colors=MIDDLE)
        beside.spines["right"].set_visible(True)
        low, high = beside.get_ylim()
        beside.set_ylim(min(low, 20), max(high, 90))
        axes.plot([], [], color=MIDDLE, linewidth=1.6, linestyle="--", label="temperature")
    mark_phases(axes, burn_in)
    legend(figure, axes, columns=4)


def _rate_lines(axes: Axes, told: series.Steps, ranks: Sequence[int], labelled: bool) -> None:
    """Draw a line for each of few ranks; of many, the range, and the slowest of each step."""
    millions, times = told.values[ranks] / 1e6, told.middles
    if len(ranks) <= MAX_LINES:
        for row, rates in enumerate(millions):
            known = ~np.isnan(rates)
            label = "rate of each rank" if labelled and not row else None
            axes.plot(
                times[known], rates[known], color=DARK, linewidth=0.9, marker=".", markersize=2, label=label
            )
        return
    lowest, highest = series.lowest_of(millions), -series.lowest_of(-millions)
    known = ~np.isnan(lowest)
    label = f"rates of {len(ranks)} ranks" if labelled else None
    axes.fill_between(times[known], lowest[known], highest[known], color=LIGHT, linewidth=0.5, label=label)
    label = "slowest rank" if labelled else None
    axes.plot(times[known], lowest[known], color=DARK, linewidth=0.9, label=label)


def rate_map(figure: FigureBase, burn_in: BurnIn) -> None:
    """Draw a row for each host: the lowest rate of its ranks, against the typical one."""
    parts = [series.relative_rates(burn_in, outcome) for outcome in burn_in.phases]
    scale = Scale(SLOWER, LOWEST_SHARE, 1.0, "share of the typical rate", "min")
    axes = _map(figure, burn_in, parts, scale)
    times = [
        (start, host)
        for outcome in burn_in.phases
        for host in range(len(burn_in.hosts))
        for start, _ in series.throttled_times(outcome, host)
    ]
    if times:
        axes.plot(
            *zip(*times, strict=True), "x", color=MIDDLE, markersize=3, label="throttled, or under-voltage"
        )
        legend(figure, axes)


def temperature_map(figure: FigureBase, burn_in: BurnIn) -> None:
    """Draw a row for each host: its temperature."""
    edges = _grid(burn_in)
    rows = [
        series.on_grid([series.temperatures(outcome, host) for outcome in burn_in.phases], 1, edges)
        for host in range(len(burn_in.hosts))
    ]
    grid = np.concatenate(rows)
    lowest, highest = float(np.nanmin(grid)), float(np.nanmax(grid))
    scale = Scale(WARMER, lowest, max(highest, lowest + 1), "°C")
    _map(figure, burn_in, [series.Steps(edges, grid)], scale)


def _grid(burn_in: BurnIn) -> series.Values:
    end = max(outcome.start_seconds + outcome.seconds for outcome in burn_in.phases)
    return np.linspace(0, max(end, 1e-3), COLUMNS + 1)


def _map(figure: FigureBase, burn_in: BurnIn, parts: list[series.Steps], scale: Scale) -> Axes:
    axes, rows, edges = figure.subplots(), len(burn_in.hosts), _grid(burn_in)
    grid = series.on_grid(parts, rows, edges)
    extent = (0, edges[-1], rows - 0.5, -0.5)
    look: Look = {"aspect": "auto", "interpolation": "nearest", "cmap": scale.colors}
    image = axes.imshow(grid, extent=extent, vmin=scale.lowest, vmax=scale.highest, **look)
    figure.colorbar(image, ax=axes, label=scale.label, extend=scale.extend, pad=0.01, aspect=30)
    name_rows(axes, burn_in)
    mark_phases(axes, burn_in)
    return axes


def name_rows(axes: Axes, burn_in: BurnIn) -> None:
    """Name the rows, or of many those that something is wrong with, as far as there is room."""
    names = short_names([host.host for host in burn_in.hosts])
    rows = list(range(len(names)))
    if len(rows) > MAX_NAMED:
        faulty = {
            name for finding in findings(burn_in) if finding.severity == "fault" for name in finding.hosts
        }
        apart, rows = len(names) / MAX_NAMED, []
        for place, host in enumerate(burn_in.hosts):
            if host.host in faulty and (not rows or place - rows[-1] >= apart):
                rows.append(place)
        rows = rows or [0, len(names) - 1]
    axes.set_yticks(rows, [names[row] for row in rows])


def mark_phases(axes: Axes, burn_in: BurnIn) -> None:
    """Draw a line between phases, with the title of each above, and the time below."""
    end = max(outcome.start_seconds + outcome.seconds for outcome in burn_in.phases)
    axes.set_xlim(0, max(end, 1e-3))
    for outcome in burn_in.phases:
        if outcome.start_seconds:
            axes.axvline(outcome.start_seconds, color=INK, linewidth=0.8)
        middle = outcome.start_seconds + outcome.seconds / 2
        if outcome.seconds > 0.12 * end:  # or else the titles would overlap
            where: Look = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
            axes.annotate(
                outcome.phase.title, (middle, 1), (0, 3), ha="center", va="bottom", fontsize=8, **where
            )
    divisor, unit = next((pair for pair in UNITS if end >= 3 * pair[0]), (1, "seconds"))
    ticks = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(0, end / divisor)
    shown = [tick for tick in ticks if 0 <= tick <= end / divisor]
    axes.set_xticks([tick * divisor for tick in shown], [f"{tick:g}" for tick in shown])
    axes.set_xlabel(f"{unit} since the burn-in began")
