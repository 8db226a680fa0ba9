"""Pictures of a run: its first points, the convergence to pi, and the distribution of its trials."""

import math
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
from matplotlib.figure import FigureBase
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mpi_pi.kernel import reference
from mpi_pi.model.binomial import P, probability, standard_deviation
from mpi_pi.model.result import Result
from mpi_pi.report.plots import timeline as plot_timeline
from mpi_pi.report.plots.style import DARK, INK, LIGHT, MIDDLE, Look, Panel, label_decades, legend

DARTS = 3000
"""Points on the dartboard."""

FIRST_POINTS = 1 << 17
"""Points that convergence is drawn of before the first trial or round; counting them takes 0.1 s."""

MAX_FIRST_UNITS = 1000
"""Units that the first points may come from: each unit has to be seeded."""

MIN_POINTS = 64
"""Points of the first estimate that is drawn, unless fewer were counted."""

MAX_DEVIATIONS = 20
"""Standard deviations from the mean within which trials are drawn; those of a right kernel are within 5."""

MAX_ESTIMATES = 60
"""Estimates on the line through many trials."""

MAX_BINS = 60
"""Bars of the histogram of trials."""


def panels(result: Result, trial_hits: NDArray[np.int64] | None = None) -> Iterator[Panel]:
    """Generate the panels of a run.

    `trial_hits` are the hits of all its trials, int64, from its trial log.
    """
    if units_in_line(result):
        yield Panel("Dartboard", lambda figure: dartboard(figure, first_points(result, DARTS)))
    if result.tally.points:
        yield Panel("Convergence", lambda figure: convergence(figure, course_of_run(result, trial_hits)))
    if result.timeline.records:
        yield plot_timeline.panel(result)
    if trial_hits is not None:
        yield histogram_panel(result.job.points, trial_hits)


def trial_panels(points: int, trial_hits: NDArray[np.int64]) -> Iterator[Panel]:
    """Generate the panels of a trial log without its run, from the hits of each trial of `points`."""
    yield Panel("Convergence", lambda figure: convergence(figure, course_of_trials(points, trial_hits)))
    yield histogram_panel(points, trial_hits)


def histogram_panel(points: int, trial_hits: NDArray[np.int64]) -> Panel:
    """Return the panel of the distribution of trials."""
    return Panel("Trials", lambda figure: histogram(figure, points, trial_hits))


def units_in_line(result: Result) -> int:
    """Return how many of the first units of its shard a run has counted without a gap."""
    return result.tally.units - sum(int(row.lost_units.sum()) for row in result.timeline.records)


def first_points(result: Result, most: int) -> NDArray[np.int64]:
    """Return the coordinates of the first points of a run, `most` at most, int64, (points, 2)."""
    job, start = result.job, result.shard.units.start
    taken = [np.zeros((0, 2), np.int64)]
    for unit in range(start, start + min(units_in_line(result), MAX_FIRST_UNITS)):
        number = min(job.unit_points(unit), most)
        taken.append(reference.first_points(job, unit, number))
        most -= number
        if not most:
            break
    return np.concatenate(taken)


def dartboard(figure: FigureBase, points: NDArray[np.int64]) -> None:
    """Draw points in the square, hits and misses apart."""
    axes = figure.subplots()
    hit, radii = reference.in_disc(points), points / 2**31
    marks: Look = {"s": 4, "linewidths": 0.6}
    hits = f"hits: {hit.sum()} of the first {len(points)}"
    axes.scatter(*radii[hit].T, marker="o", color=DARK, label=hits, **marks)
    axes.scatter(*radii[~hit].T, marker="x", color=MIDDLE, label=f"misses: {(~hit).sum()}", **marks)
    axes.add_patch(Circle((0, 0), 1, fill=False, color=INK, linewidth=1.2))
    axes.set(aspect="equal", xlim=(-1, 1), ylim=(-1, 1), xlabel="x (radii)", ylabel="y (radii)")
    axes.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    axes.spines[:].set_visible(True)
    legend(figure, axes, columns=2, markerscale=2)


Course = list[tuple[int, int]]
"""Points counted and hits among them, at some moments of a run; exact integers, ascending."""


def course_of_run(result: Result, trial_hits: NDArray[np.int64] | None) -> Course:
    """Return the course of the first points, doubled again and again, then of trials or of rounds."""
    hits = np.cumsum(reference.in_disc(first_points(result, FIRST_POINTS)))
    start = min(MIN_POINTS, len(hits))
    prefixes = [start << doubled for doubled in range(32) if 0 < start << doubled <= len(hits)]
    first = [(prefix, int(hits[prefix - 1])) for prefix in prefixes]
    rest = course_of_rounds(result) if trial_hits is None else course_of_trials(result.job.points, trial_hits)
    return first + [pair for pair in rest if pair[0] > max(prefixes, default=0)]


def course_of_rounds(result: Result) -> Course:
    """Return the course from what had been counted before this run, if anything, over each of its rounds."""
    rows = result.timeline.records
    points, hits = [int(row.points.sum()) for row in rows], [row.hits for row in rows]
    points_before, hits_before = result.tally.points - sum(points), result.tally.hits - sum(hits)
    totals = zip(accumulate([points_before, *points]), accumulate([hits_before, *hits]), strict=True)
    return [pair for pair in totals if pair[0] > 0]


def course_of_trials(points: int, trial_hits: NDArray[np.int64]) -> Course:
    """Return the course over trials evenly spaced in logarithms, the last one among them."""
    sums = list(accumulate(trial_hits.tolist()))
    numbers = np.unique(np.geomspace(1, len(sums), MAX_ESTIMATES).round().astype(int)).tolist()
    return [(number * points, sums[number - 1]) for number in numbers]


def standard_error(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard error of an estimate of pi by the number of its points."""
    return np.asarray(np.sqrt(math.pi * (4 - math.pi) / points))


def convergence(figure: FigureBase, course: Course) -> None:
    """Draw the estimate over the points counted, and below on a logarithmic scale its distance from pi."""
    above, below = figure.subplots(2, 1, sharex=True)
    points = np.array([points for points, _ in course], float)
    estimates = np.array([4 * hits / points for points, hits in course])
    off = np.abs(estimates - math.pi)
    along = np.geomspace(points[0], max(points[-1], 2 * points[0]), 200)
    error = standard_error(along)
    band = {"color": LIGHT, "label": "2 standard errors about π", "linewidth": 0}
    line = {"color": DARK, "marker": ".", "markersize": 4, "linewidth": 1, "label": "estimate"}
    above.fill_between(along, math.pi - 2 * error, math.pi + 2 * error, **band)
    above.axhline(math.pi, color=INK, linewidth=1, linestyle="--", label="π")
    above.plot(points, estimates, **line)
    highest = max(2.5 * error[0], 1.1 * float(off.max()))
    above.set(xscale="log", ylim=(math.pi - highest, math.pi + highest), ylabel="estimate of π")
    below.plot(points, off, **line)
    lowest = 0.5 * float(off[off > 0].min(initial=0.2 * error[-1]))
    below.fill_between(along, lowest, 2 * error, **band)
    below.set(xscale="log", yscale="log", ylim=(lowest, None))
    below.set(xlabel="points counted", ylabel="distance from π")
    below.margins(x=0.02)
    label_decades(below.xaxis)
    label_decades(below.yaxis)
    figure.align_ylabels([above, below])
    legend(figure, above)


def bin_edges(points: int, trial_hits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the edges of bins of equal width in hits, int64, by Scott's rule for the normal distribution."""
    low, high = int(trial_hits.min()), int(trial_hits.max())
    scott = round(3.49 * float(standard_deviation(points)) / len(trial_hits) ** (1 / 3))
    width = max(1, scott, -(-(high - low + 1) // MAX_BINS))
    return np.arange(low, high + width + 1, width)


def histogram(figure: FigureBase, points: int, trial_hits: NDArray[np.int64]) -> None:
    """Draw the histogram of trials, and the numbers that the binomial distribution lets expect."""
    axes = figure.subplots()
    centre = round(points * math.pi / 4)
    near = trial_hits[abs(trial_hits - centre) <= MAX_DEVIATIONS * standard_deviation(points)]
    edges = bin_edges(points, near if near.size else np.array([centre]))
    width = int(edges[1] - edges[0])
    counts, _ = np.histogram(near, edges)
    far = f", {len(trial_hits) - len(near)} more are too far off" if len(near) < len(trial_hits) else ""
    scale = 4 / points
    look: Look = {"color": LIGHT, "edgecolor": DARK, "label": f"trials{far}"}
    axes.bar((edges[:-1] - 0.5) * scale, counts, width * scale, align="edge", **look)
    reach = 4 * float(standard_deviation(points))
    ends = max(centre - reach, 0), min(centre + reach, points)
    hits = np.unique(np.linspace(*ends, 201).round())
    expected = len(trial_hits) * width * probability(points, hits - points * P)
    axes.plot(hits * scale, expected, color=INK, linewidth=1.5, label="binomial")
    for side, label in ((-2, "2 standard deviations"), (2, None)):
        limit = (expected + side * np.sqrt(expected)).clip(0)
        axes.plot(hits * scale, limit, color=INK, linewidth=0.8, linestyle=":", label=label)
    axes.axvline(math.pi, color=MIDDLE, linewidth=1.2, linestyle="--", label="π")
    axes.set(xlabel=f"estimate of π from a {points:,}-point trial", ylabel=f"trials (of {len(trial_hits):,})")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    legend(figure, axes, columns=4 if not far else 2)
