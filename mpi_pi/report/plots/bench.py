"""Pictures of a benchmark: kernels, whole jobs, scaling, the network, and the cost of a round."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from mpi_pi.bench import published
from mpi_pi.bench.median import MedianCI
from mpi_pi.formatting import number_of
from mpi_pi.report.bench.numbers import LOST, format_ci
from mpi_pi.report.plots import network as plot_network
from mpi_pi.report.plots import style
from mpi_pi.report.plots.style import DARK, INK, LIGHT, MIDDLE, Look, Panel

Section = Mapping[str, Any]

PUBLISHED = (published.FLAME_PYTHON, published.FLAME_RUST, published.OCTAPI)

PHASE_LOOKS: list[Look] = [
    *({"facecolor": color} for color in (DARK, LIGHT, MIDDLE, "#ffffff", "#6d6d6d")),
    {"facecolor": LIGHT, "hatch": "////"},
    {"facecolor": MIDDLE, "hatch": "xxxx"},
    {"facecolor": "#ffffff", "hatch": "...."},
    {"facecolor": INK},
    {"facecolor": "#b9b9b9", "hatch": "\\\\\\\\"},
]
"""Looks of the phases of a job: neighbours differ much in lightness."""


def panels(benchmark: Mapping[str, Any]) -> Iterator[Panel]:
    """Generate the panels of those sections that were measured."""
    if kernel := benchmark["kernel"]:
        height = 1.3 + 0.36 * (len(kernel["rows"]) + len(PUBLISHED))
        yield Panel("Kernels on one core", lambda figure: kernels(figure, kernel), True, height)
    if jobs := benchmark["jobs"]:
        title, height = "Where the time of a whole job goes", 2.1 + 0.55 * len(jobs)
        yield Panel(title, lambda figure: whole_jobs(figure, jobs), True, height)
    if scaling := benchmark["scaling"]:
        yield Panel("Speed-up", lambda figure: speed_up(figure, scaling))
        yield Panel("Efficiency", lambda figure: efficiency(figure, scaling))
    if network := benchmark["network"]:
        yield from plot_network.panels(network)
    if round_ := benchmark["round"]:
        title = "What a round costs besides counting"
        yield Panel(title, lambda figure: cost_of_round(figure, round_), True)


def medians(cis: Sequence[MedianCI]) -> NDArray[np.float64]:
    """Return the medians, (len(cis),)."""
    return np.array([ci.median for ci in cis])


def error_bars(cis: Sequence[MedianCI]) -> NDArray[np.float64]:
    """Return how far the intervals reach below and above the medians, (2, len(cis))."""
    return np.array([[ci.median - ci.low for ci in cis], [ci.high - ci.median for ci in cis]])


def kernels(figure: FigureBase, section: Section) -> None:
    """Draw points per second of the kernel and its baselines on one core, and of published whole jobs."""
    axes = figure.subplots()
    rates = [MedianCI.from_fields(row["points_per_second"]) for row in section["rows"]]
    theirs = [MedianCI.of([run.points_per_second]) for run in PUBLISHED]
    names = [row["name"] for row in section["rows"]] + [f"{run.name}\n{run.machine}" for run in PUBLISHED]
    places = np.arange(len(names))
    look: Look = {"color": DARK, "ecolor": INK, "capsize": 3, "label": "one core, measured"}
    axes.barh(places[: len(rates)], medians(rates), 0.7, xerr=error_bars(rates), **look)
    look = {"facecolor": LIGHT, "edgecolor": INK, "hatch": "////"}
    look |= {"label": "whole job on a whole cluster, published"}
    axes.barh(places[len(rates) :], medians(theirs), 0.7, **look)
    for place, rate in enumerate(rates + theirs):
        axes.annotate(format_rate(rate), (rate.high, place), (6, 0), textcoords="offset points", va="center")
    least = math.floor(math.log10(min(rate.low for rate in rates + theirs)))
    most = max(rate.high for rate in rates + theirs)
    axes.set(xscale="log", xlim=(10.0**least / 2, 1.2 * most), xlabel="points per second")
    style.label_decades(axes.xaxis)
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    style.legend(figure, axes)


def format_rate(rate: MedianCI) -> str:
    """Return a rate, and its interval if it has a width, by a power of ten: `4.02 (3.98 … 4.05)·10⁹`."""
    exponent = math.floor(math.log10(rate.median))
    scale = 10.0**-exponent
    exact = rate.low == rate.high
    number = f"{rate.median * scale:.2f}" if exact else format_ci(rate, ".2f", scale)
    return f"{number}·{style.power_of_ten(exponent)}"


def whole_jobs(figure: FigureBase, jobs: Sequence[Section]) -> None:
    """Draw the phases of jobs from mpirun to prompt; cold jobs take longer, and have their own scale."""
    kinds = {
        "warm, the kernel is in the cache": [job for job in jobs if not job["cold"]],
        "cold, it has to be compiled": [job for job in jobs if job["cold"]],
    }
    kinds = {kind: of_kind for kind, of_kind in kinds.items() if of_kind}
    phases = list(dict.fromkeys(phase["name"] for job in jobs for phase in job["steps"]))
    looks = {phase: PHASE_LOOKS[place % len(PHASE_LOOKS)] for place, phase in enumerate(phases)}
    ratios = [len(of_kind) for of_kind in kinds.values()]
    all_axes = figure.subplots(len(kinds), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, (kind, of_kind) in zip(all_axes, kinds.items(), strict=True):
        phase_bars(axes, of_kind, looks)
        axes.set_xlabel(f"seconds, {kind}")
    patches = [Patch(edgecolor=INK, linewidth=0.5, label=phase, **look) for phase, look in looks.items()]
    whole = Line2D([], [], color=INK, marker="d", markersize=4, label="whole job")
    figure.legend(handles=[*patches, whole], loc="outside lower center", ncols=4)


def phase_bars(axes: Axes, jobs: Sequence[Section], looks: Mapping[str, Look]) -> None:
    """Draw a row for each job: the medians of its phases side by side, and the whole with its interval."""
    for place, job in enumerate(jobs):
        seconds = [phase["seconds"]["median"] for phase in job["steps"]]
        lefts = np.cumsum([0, *seconds[:-1]])
        for phase, left, width in zip(job["steps"], lefts, seconds, strict=True):
            axes.barh(place, width, 0.55, left, edgecolor=INK, linewidth=0.5, **looks[phase["name"]])
        whole = MedianCI.from_fields(job["seconds"])
        look: Look = {"fmt": "d", "color": INK, "capsize": 4, "markersize": 4}
        axes.errorbar(whole.median, place, xerr=error_bars([whole]), **look)
        label = format_ci(whole) + " s"
        if job["published"]:
            label += f"\n{job['published']['name']}: {job['published']['seconds']:.6g} s"
        end = max(whole.high, sum(seconds))
        axes.annotate(label, (end, place), (8, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(jobs)), [f"{job['name']}\n{number_of(job['ranks'], 'rank')}" for job in jobs])
    axes.set_ylim(len(jobs) - 0.5, -0.5)
    axes.set_xlim(0, 1.02 * max(job["seconds"]["high"] for job in jobs))


def scaling_curves(axes: Axes, section: Section, name: str) -> None:
    """Draw a quantity of strong and weak scaling over the number of ranks or hosts."""
    looks: dict[str, Look] = {  # the bars of one are to be seen beneath those of the other
        "strong": {"fmt": "o-", "color": DARK, "label": "same job (strong)", "elinewidth": 3, "capsize": 6},
        "weak": {"fmt": "s--", "color": MIDDLE, "label": "growing job (weak)", "elinewidth": 1, "capsize": 3},
    }
    for kind, look in looks.items():
        median_curve(axes, section[kind]["rows"], section["by"], name, look)
    style.number_ticks(axes, [row[section["by"]] for row in section["strong"]["rows"]])
    axes.grid(visible=True)
    axes.set_xlabel(section["by"])


def median_curve(axes: Axes, rows: Sequence[Section], number: str, name: str, look: Look) -> None:
    """Draw medians of a quantity with their intervals over a number; inconclusive ones are hollow."""
    numbers, cis = [row[number] for row in rows], [MedianCI.from_fields(row[name]) for row in rows]
    axes.errorbar(numbers, medians(cis), error_bars(cis), markersize=5, **look)
    noisy = [place for place, of in enumerate(cis) if of.inconclusive]
    if noisy:
        known = axes.get_legend_handles_labels()[1]
        hollow: Look = {"marker": look["fmt"][0], "markersize": 5, "color": "white", "linestyle": ""}
        hollow |= {"markeredgecolor": INK, "label": None if LOST in known else LOST, "zorder": 3}
        axes.plot([numbers[place] for place in noisy], medians(cis)[noisy], **hollow)


def speed_up(figure: FigureBase, section: Section) -> None:
    """Draw the speed-up over the first row."""
    axes = figure.subplots()
    rows = section["strong"]["rows"]
    numbers, ideal = [row[section["by"]] for row in rows], [row["ranks"] / rows[0]["ranks"] for row in rows]
    axes.plot(numbers, ideal, color=INK, linewidth=1, linestyle=":", label="ideal")
    scaling_curves(axes, section, "speed_up")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylabel(f"times as fast as {number_of(rows[0]['ranks'], 'rank')}")
    style.legend(figure, axes)


def efficiency(figure: FigureBase, section: Section) -> None:
    """Draw the efficiency: the speed-up over the growth of the number of ranks."""
    axes = figure.subplots()
    axes.axhline(1, color=INK, linewidth=1, linestyle=":", label="ideal")
    scaling_curves(axes, section, "efficiency")
    axes.set_ylim(0, max(1.1, 1.05 * axes.dataLim.y1))
    axes.set_ylabel("efficiency")
    style.legend(figure, axes)


def cost_of_round(figure: FigureBase, section: Section) -> None:
    """Draw the time of a round besides counting: measured, and by the model for more ranks."""
    axes = figure.subplots()
    looks: dict[str, Look] = {
        "rows": {"fmt": "o-", "color": DARK, "label": "round, measured", "capsize": 3},
        "planner": {"fmt": "s", "color": MIDDLE, "label": "books of rank 0, measured", "capsize": 3},
    }
    for rows, look in looks.items():
        median_curve(axes, section[rows], "ranks", "seconds", look)
    model = section["model"]
    for name, column, color, width in (
        ("round, model", "round_seconds", INK, 1.8),
        ("its network, model", "network_seconds", DARK, 1.0),
        ("its books, model", "planner_seconds", MIDDLE, 1.0),
    ):
        line: Look = {"color": color, "linewidth": width, "linestyle": "--", "label": name}
        axes.plot([row["ranks"] for row in model], [row[column] for row in model], **line)
    if section["matters_from_ranks"]:
        label = "1 % of a second from here on, model"
        axes.axvline(section["matters_from_ranks"], color=INK, linewidth=0.8, linestyle=":", label=label)
    axes.set(xscale="log", yscale="log", xlabel="ranks", ylabel="time")
    style.label_decades(axes.xaxis)
    axes.yaxis.set_major_formatter(EngFormatter(unit="s"))
    axes.minorticks_off()
    axes.grid(visible=True)
    style.legend(figure, axes)
