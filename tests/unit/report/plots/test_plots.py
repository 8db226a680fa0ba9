"""Plots: they show the values of the file, and nothing overlaps."""

import copy
import io
import itertools
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from mpi_pi.kernel import reference
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.model.result import Result, Timeline
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Tally
from mpi_pi.report.plots import bench as plot_bench
from mpi_pi.report.plots import figure as plot
from mpi_pi.report.plots import row_times, style
from mpi_pi.report.plots import run as plot_run
from mpi_pi.report.plots import timeline as plot_timeline
from mpi_pi.report.plots.style import Panel
from mpi_pi.report.sources import Item
from mpi_pi.storage.trial_log import Trials
from support import benchmarks, networks, runs

run = cache(runs.run)
benchmark = cache(benchmarks.benchmark)


def trial_hits(result: Result) -> NDArray[np.int64]:
    return reference.count(result.job, range(result.job.units))


def drawn(panels: Sequence[Panel], title: str) -> Any:
    """The panel of that title, drawn: a Figure, whose artists are known better than their types."""
    (found,) = (panel for panel in panels if panel.title == title)
    figure = Figure()
    found.draw(figure)
    return figure


def of_run(result: Result, title: str, hits: NDArray[np.int64] | None = None) -> Any:
    return drawn(list(plot_run.panels(result, hits)), title)


def of_benchmark(document: dict[str, Any], title: str) -> Any:
    return drawn(list(plot_bench.panels(document)), title)


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


# What is drawn of a run


@pytest.mark.parametrize("points", [1000, BLOCK + 700])
def test_first_points_of_a_unit_are_those_that_are_counted(points: int) -> None:
    job = Job(trials=3, points=points, seed=11)
    unit = job.units - 1
    first = reference.first_points(job, unit, 700)
    assert first.shape == (700, 2)
    assert (first % 2 == 1).all()
    # A shorter trial has the same points at its beginning.
    shorter = Job(trials=3, points=points - 1000 + 700, seed=11) if points < BLOCK else job
    assert reference.in_disc(first).sum() == reference.count(shorter, range(unit, unit + 1))


def test_dartboard_has_the_first_points_of_the_run() -> None:
    result = run(2)
    (axes,) = of_run(result, "Dartboard").axes
    hits, misses = (artist for artist in axes.collections if isinstance(artist, PathCollection))
    units = range(plot_run.DARTS // result.job.points)
    expected = np.concatenate([reference.first_points(result.job, unit, result.job.points) for unit in units])
    points = np.concatenate([np.asarray(hits.get_offsets()), np.asarray(misses.get_offsets())])
    assert sorted((points * 2**31).tolist()) == sorted(expected.tolist())
    assert len(np.asarray(hits.get_offsets())) == reference.count(result.job, units).sum()
    assert (np.hypot(*np.asarray(hits.get_offsets()).T) < 1).all()
    assert (np.hypot(*np.asarray(misses.get_offsets()).T) >= 1).all()
    assert axes.get_aspect() == 1


@pytest.mark.parametrize("stopped", [False, True])
def test_convergence_goes_through_the_first_points_and_all_rounds_to_the_total(stopped: bool) -> None:
    result = run(10, 4, stopped=stopped)
    course = plot_run.course_of_run(result, None)
    for points, hits in course:
        if points <= result.job.points:
            assert hits == reference.count(Job(1, points, result.job.seed), range(1))[0]
    rounds = result.timeline.records
    ends = list(itertools.accumulate(int(row.points.sum()) for row in rounds))
    hits_at_ends = itertools.accumulate(row.hits for row in rounds)
    assert course[-len(ends) :] == list(zip(ends, hits_at_ends, strict=True))
    assert course[-1] == (result.tally.points, result.tally.hits)
    above, below = of_run(result, "Convergence").axes
    x, y = above.lines[1].get_data()
    assert x.tolist() == [points for points, _ in course]
    assert y.tolist() == [4 * hits / points for points, hits in course]
    assert below.lines[0].get_ydata() == pytest.approx(np.abs(y - np.pi), abs=1e-15)
    assert above.lines[0].get_ydata() == pytest.approx([np.pi, np.pi])


def test_convergence_of_a_resumed_run_begins_with_what_was_counted_before() -> None:
    whole = run(2)
    resumed = replace(whole, timeline=Timeline(whole.timeline.records[3:]))
    course = plot_run.course_of_rounds(resumed)
    earlier = whole.timeline.records[:3]
    before = sum(int(row.points.sum()) for row in earlier), sum(row.hits for row in earlier)
    assert course[0] == before
    assert course[-1] == (whole.tally.points, whole.tally.hits)
    assert len(course) == 1 + len(whole.timeline.records[3:])


def test_convergence_follows_the_trial_log_if_there_is_one() -> None:
    result = run(2)
    hits = trial_hits(result)
    course = plot_run.course_of_run(result, hits)
    sums = np.cumsum(hits)
    for points, counted in course:
        if points % result.job.points == 0:
            assert counted == sums[points // result.job.points - 1]
    assert all(earlier < later for (earlier, _), (later, _) in itertools.pairwise(course))
    assert course[-1] == (result.tally.points, result.tally.hits)


def test_band_is_two_standard_errors_wide() -> None:
    p = np.pi / 4
    deviations = 4 * np.array([stats.binom.std(points, p) / points for points in (100, 10**9)])
    assert plot_run.standard_error(np.array([100.0, 1e9])) == pytest.approx(deviations)


def bars_by_color(figure: Any, row: int) -> dict[tuple[float, ...], float]:
    """Seconds of the bars in a row of the timeline, by their colour."""
    seconds: dict[tuple[float, ...], float] = defaultdict(float)
    for bars in figure.axes[0].collections:
        for path in bars.get_paths():
            box = path.get_extents()
            if round((box.y0 + box.y1) / 2) == row:
                seconds[tuple(np.asarray(bars.get_facecolor())[0][:3])] += box.width
    return seconds


@pytest.mark.parametrize(("hosts", "ranks_per_host"), [(2, 4), (10, 4)])
def test_bars_of_the_timeline_are_as_long_as_ranks_and_hosts_counted(hosts: int, ranks_per_host: int) -> None:
    result = run(hosts, ranks_per_host, stopped=True)
    figure = of_run(result, "Work over time")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    counted = np.array([row.count_nanoseconds for row in result.timeline.records]) / 1e9
    last = result.timeline.records[-1]
    lost = counted[-1] * last.lost_units / last.units
    if hosts * ranks_per_host <= row_times.MAX_BARS:
        assert names == [f"node{rank // 4 + 1:04}, rank {rank}" for rank in range(8)]
        kept, lost = counted.sum(axis=0) - lost, lost
    else:
        assert names == [f"node{host + 1:04}" for host in range(hosts)]
        kept = (counted.sum(axis=0) - lost).reshape(hosts, -1).mean(axis=1)
        lost = lost.reshape(hosts, -1).mean(axis=1)
    for row in range(len(names)):
        seconds = bars_by_color(figure, row)
        assert seconds[to_rgb(plot_timeline.COUNTING)] == pytest.approx(kept[row], rel=1e-6)
        assert seconds.get(to_rgb(plot_timeline.AGAIN), 0) == pytest.approx(lost[row], rel=1e-6)
        assert sum(seconds.values()) == pytest.approx(last.end_seconds, rel=1e-6)
    assert [label.partition(" (")[0] for label in labels(figure)] == [
        "counting",
        "counted again later",
        "waiting",
    ]


def test_what_a_rank_does_between_two_rounds_is_waiting() -> None:
    rounds = [replace(row, start_seconds=row.start_seconds + 0.001) for row in run(2).timeline.records]
    seconds = row_times.seconds_of(row_times.spans_of(rounds, []), np.arange(2), np.full(2, np.inf))
    lasted = rounds[-1].end_seconds - rounds[0].start_seconds
    assert seconds.sum(axis=(0, 2)) == pytest.approx([lasted, lasted])


def test_strip_of_a_thousand_hosts_is_as_dark_as_they_were_busy() -> None:
    result = run(1000, stopped=True)
    rounds = result.timeline.records
    figure = of_run(result, "Work over time")
    strip, beside = figure.axes
    pixels = np.asarray(strip.images[0].get_array())
    assert pixels.shape[0] == 1000
    colors = np.array(
        [to_rgb(color) for color in (plot_timeline.COUNTING, plot_timeline.AGAIN, plot_timeline.WAITING)]
    )
    shares = np.linalg.solve(colors.T, pixels.reshape(-1, 3).T).T.reshape(pixels.shape)
    end = rounds[-1].end_seconds
    counted = np.array([row.count_nanoseconds for row in rounds]) / 1e9
    lost = counted[-1] * (rounds[-1].lost_units > 0)
    assert shares[..., 0].mean(axis=1) * end == pytest.approx(counted.sum(axis=0) - lost, rel=1e-6)
    assert shares[..., 1].mean(axis=1) * end == pytest.approx(lost, rel=1e-6, abs=1e-9)
    assert np.allclose(shares.sum(axis=-1), 1)
    assert beside.lines[0].get_xdata() == pytest.approx([row.points_per_second for row in result.ranks])


LOSSES = {2: [3], 4: [6, 7], 6: [4]}
"""Of two hosts with four ranks each; the second one loses all but rank 5."""


def ends_of_bars(figure: Any, row: int) -> dict[tuple[float, ...], float]:
    """When the last bar of each colour ends in a row of the timeline."""
    ends: dict[tuple[float, ...], float] = defaultdict(float)
    for bars in figure.axes[0].collections:
        color = tuple(np.asarray(bars.get_facecolor())[0][:3])
        for box in (path.get_extents() for path in bars.get_paths()):
            if round((box.y0 + box.y1) / 2) == row:
                ends[color] = max(ends[color], box.x1)
    return ends


def marks(figure: Any) -> list[tuple[float, float]]:
    """Where losses are marked."""
    lines = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    return [(x, y) for line in lines for x, y in line.get_xydata().tolist()]


def test_rows_of_lost_ranks_end_with_a_mark_when_these_were_lost() -> None:
    result = runs.run(2, 4, losses=LOSSES)
    figure = of_run(result, "Work over time")
    first, second, third = (repair.seconds for repair in result.repairs)
    assert marks(figure) == [(first, 3), (second, 6), (second, 7), (third, 4)]
    end = result.timeline.records[-1].end_seconds
    ends = dict.fromkeys(range(8), end) | {3: first, 6: second, 7: second, 4: third}
    counted = np.array([row.count_nanoseconds for row in result.timeline.records]).sum(axis=0) / 1e9
    for row in range(8):
        seconds, last = bars_by_color(figure, row), ends_of_bars(figure, row)
        assert max(last.values()) == pytest.approx(ends[row], rel=1e-6)
        assert sum(seconds.values()) == pytest.approx(ends[row], rel=1e-6)
        assert seconds[to_rgb(plot_timeline.COUNTING)] == pytest.approx(counted[row], rel=1e-6)
        # Each repair goes on from when the round before is complete; then a lost rank is still there.
        all_of_them, attempt = runs.REPAIR_SECONDS + runs.ATTEMPT_SECONDS, runs.ATTEMPT_SECONDS
        before = sum(seconds_ < ends[row] for seconds_ in (first, second, third))
        assert seconds[to_rgb(plot_timeline.REPAIR)] == pytest.approx(
            before * all_of_them + (attempt if ends[row] < end else 0), rel=1e-6
        )
        if ends[row] < end:
            assert last[to_rgb(plot_timeline.WAITING)] == pytest.approx(ends[row] - attempt, rel=1e-6)
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert [set(line.get_xdata()) for line in lines] == [{first}, {second}, {third}]
    assert [label.partition(" (")[0] for label in labels(figure)] == [
        *("counting", "waiting", "repairs", "loss of ranks")
    ]
    assert labels(figure)[-1] == "loss of ranks (4)"


def test_host_is_drawn_until_its_last_rank_is_lost() -> None:
    result = runs.run(20, 2, losses={2: [2], 4: [3, 10]})
    figure = of_run(result, "Work over time")
    first, second = (repair.seconds for repair in result.repairs)
    assert marks(figure) == [(first, 1), (second, 1), (second, 5)]
    rows = row_times.rows_of(result)
    assert rows.row_lives.tolist() == [second if row == 1 else np.inf for row in range(20)]
    spans = row_times.spans_of(result.timeline.records, result.repairs)
    seconds = row_times.seconds_of(spans, rows.of_rank, rows.lives)
    end = result.timeline.records[-1].end_seconds
    expected = [second if row == 1 else end for row in range(20)]
    assert seconds.sum(axis=(0, 2)) == pytest.approx(expected)
    # After the loss of rank 2, its host is rank 3.
    records = result.timeline.records
    (place,) = (k for k, span in enumerate(spans) if span.record is records[2])
    assert seconds[place, 1, 0] == pytest.approx(records[2].count_nanoseconds[3] / 1e9)


def test_strip_is_white_after_the_loss_of_a_rank() -> None:
    lost = [20, 21]
    result = runs.run(1, 40, losses={3: lost})
    figure = of_run(result, "Work over time")
    (repair,) = result.repairs
    assert marks(figure) == [(repair.seconds, 20), (repair.seconds, 21)]
    pixels = np.asarray(figure.axes[0].images[0].get_array())
    end = result.timeline.records[-1].end_seconds
    pixel = end / pixels.shape[1]
    times = (np.arange(pixels.shape[1]) + 0.5) * pixel
    start = result.timeline.records[3].start_seconds
    for row in range(40):
        is_white = np.all(np.abs(pixels[row] - 1) < 1e-9, axis=1)
        if row in lost:
            assert is_white[times > repair.seconds + pixel].all()
            assert not is_white[times < repair.seconds - pixel].any()
        else:
            assert not is_white.any()
        stop = min(start, repair.seconds) if row in lost else start
        is_repair = np.all(np.abs(pixels[row] - to_rgb(plot_timeline.REPAIR)) < 1e-9, axis=1)
        inside = (times > start - repair.cost_seconds + pixel) & (times < stop - pixel)
        assert is_repair[inside].all()
        assert not is_repair[(times < start - repair.cost_seconds - pixel) | (times > stop + pixel)].any()


def test_rows_have_the_numbers_of_their_ranks() -> None:
    few = runs.run(1, 6, losses={runs.BEFORE_ROUNDS: [0, 3], 2: [4]})
    figure = of_run(few, "Work over time")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["rank 1", "rank 2", "rank 4", "rank 5"]
    assert marks(figure) == [(few.repairs[1].seconds, 2)]
    two_hosts = row_times.rows_of(runs.run(2, 3, losses={runs.BEFORE_ROUNDS: [0]}))
    assert two_hosts.names == [f"node000{1 + rank // 3}, rank {rank}" for rank in range(1, 6)]
    many = of_run(runs.run(1, 40, losses={runs.BEFORE_ROUNDS: [0, 1, 2]}), "Work over time")
    label = many.axes[0].yaxis.get_major_formatter()
    assert [label(place, None) for place in (0, 10, 36, 37, -2)] == ["3", "13", "39", "", ""]


def test_loss_of_ranks_without_a_row_leaves_no_gap_above_the_legend(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last label stands as far above the legend as where no rank was lost."""
    gaps = []
    for losses in ({2: [4]}, {runs.BEFORE_ROUNDS: [5], 2: [4]}):
        figure = plot.figure([Item("a", runs.run(1, 6, losses=losses))])
        texts = drawn_texts(figure, monkeypatch)
        (below,) = (text for text in texts if text.get_text().startswith("seconds since"))
        (legend,) = (text for text in texts if text.get_text().startswith("loss of ranks"))
        gaps.append(below.get_window_extent().y0 - legend.get_window_extent().y1)
    assert gaps[1] < 2 * gaps[0]


def test_counts_of_several_ranks_in_one_row_do_not_outlast_it() -> None:
    """After the loss of ranks 0 to 2 at once, what they had counted stands in the row of rank 0."""
    result = runs.run(3, 3, losses={4: [0, 1, 2]})
    (repair,) = result.repairs
    record = result.timeline.records[0]
    assert (record.first_round, record.last_round) == (0, 3)
    assert record.count_nanoseconds[0] / 1e9 > 2 * repair.seconds
    figure = of_run(result, "Work over time")
    for row in range(3):
        assert sum(bars_by_color(figure, row).values()) == pytest.approx(repair.seconds, rel=1e-6)


def test_loss_after_the_last_round_is_marked_at_its_time() -> None:
    result = runs.run(3, losses={8: [2]})
    figure = of_run(result, "Work over time")
    (repair,) = result.repairs
    end = result.timeline.records[-1].end_seconds
    assert repair.seconds > end
    assert marks(figure) == [(repair.seconds, 2)]
    assert figure.axes[0].get_xlim() == (0, repair.seconds)
    assert sum(bars_by_color(figure, 2).values()) == pytest.approx(end, rel=1e-6)


def test_repair_between_rounds_of_a_joined_row_is_not_waiting() -> None:
    result = runs.run(3, losses={3: [1]})
    records = [
        a + b for a, b in zip(result.timeline.records[::2], result.timeline.records[1::2], strict=True)
    ]
    rows = row_times.rows_of(result)
    spans = row_times.spans_of(records, result.repairs)
    seconds = row_times.seconds_of(spans, rows.of_rank, rows.lives).sum(axis=0)
    (repair,) = result.repairs
    assert seconds[[0, 2], 3] == pytest.approx([repair.cost_seconds] * 2)
    assert seconds.sum(axis=1) == pytest.approx(
        [records[-1].end_seconds, repair.seconds, records[-1].end_seconds]
    )


def test_many_rounds_become_few_bars_that_add_up() -> None:
    rows = [
        replace(run(2).timeline.records[0], first_round=number, last_round=number) for number in range(1001)
    ]
    fewer = row_times.fewer(rows, 256)
    assert 128 <= len(fewer) <= 256
    assert (fewer[0].first_round, fewer[-1].last_round) == (0, 1000)
    assert np.sum([row.points for row in fewer], axis=0).tolist() == (1001 * rows[0].points).tolist()


def test_names_of_hosts_are_shortened_while_they_still_differ() -> None:
    assert row_times.short_names(["a.x.org", "b.x.org"]) == ["a", "b"]
    assert row_times.short_names(["10.0.0.1", "10.0.0.2"]) == ["10.0.0.1", "10.0.0.2"]
    long = [f"a-very-long-name-of-a-node-{number:03}" for number in range(2)]
    assert row_times.short_names(long) == ["a-very-lo…a-node-000", "a-very-lo…a-node-001"]
    alike = [f"the-same-name-but-for-{letter}-in-the-middle" for letter in "ab"]
    assert row_times.short_names(alike) == alike


def test_histogram_counts_the_trials_of_the_log() -> None:
    result = run(2)
    hits = trial_hits(result)
    (axes,) = of_run(result, "Trials", hits).axes
    assert sum(bar.get_height() for bar in axes.patches) == len(hits)
    for bar in axes.patches:
        low, high = (x * result.job.points / 4 for x in (bar.get_x(), bar.get_x() + bar.get_width()))
        assert bar.get_height() == sum(low < number < high for number in hits.tolist())
    binomial = axes.lines[0]
    width = axes.patches[0].get_width() * result.job.points / 4
    at = np.asarray(binomial.get_xdata()) * result.job.points / 4
    expected = len(hits) * width * stats.binom.pmf(at.round(), result.job.points, np.pi / 4)
    assert binomial.get_ydata() == pytest.approx(expected, rel=1e-6)


def test_impossible_trials_do_not_squeeze_the_others() -> None:
    hits = np.array([785_300, 785_400, 785_500] * 20 + [10, 999_999])
    figure = drawn(list(plot_run.trial_panels(10**6, hits)), "Trials")
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 60
    assert "trials, 2 more are too far off" in labels(figure)


def test_trial_log_is_drawn_with_its_run_and_with_no_other() -> None:
    result = run(2)
    hits = trial_hits(result)
    log = Trials(result.job.points, hits)
    titles = [found.title for found in plot.panels([Item("log", log), Item("run", result)])]
    assert titles == ["Dartboard", "Convergence", "Work over time", "Trials"]
    other = Trials(result.job.points, np.roll(hits, 1) + (np.arange(len(hits)) == 0))
    titles = [found.title for found in plot.panels([Item("log", other), Item("run", result)])]
    assert titles == [
        *("Dartboard (run)", "Convergence (run)", "Work over time (run)"),
        *("Convergence (log)", "Trials (log)"),
    ]


def test_run_that_counted_nothing_has_no_picture() -> None:
    nothing = replace(run(2), shard=Shard(run(2).job), tally=Tally(), timeline=Timeline())
    with pytest.raises(plot.NothingToDraw, match=r"empty\.json"):
        plot.drawn([Item("empty.json", nothing)], "png")


# What is drawn of a benchmark


def bars_of(container: ErrorbarContainer) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Lows, medians and highs."""
    line, _, (bars,) = container.lines
    assert isinstance(bars, LineCollection)
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    return ends[:, 0], np.asarray(line.get_ydata()), ends[:, 1]


def spreads(rows: Sequence[dict[str, Any]], name: str) -> list[list[float]]:
    return [[row[name][which] for row in rows] for which in ("low", "median", "high")]


@pytest.mark.parametrize(("title", "name"), [("Speed-up", "speed_up"), ("Efficiency", "efficiency")])
def test_scaling_is_drawn_with_its_intervals_and_the_ideal(title: str, name: str) -> None:
    scaling = benchmark(40, 10)["scaling"]
    (axes,) = of_benchmark(benchmark(40, 10), title).axes
    for kind, container in zip(("strong", "weak"), axes.containers, strict=True):
        assert isinstance(container, ErrorbarContainer)
        for seen, held in zip(bars_of(container), spreads(scaling[kind]["rows"], name), strict=True):
            assert seen == pytest.approx(held)
        assert np.array_equal(container.lines[0].get_xdata(), [1, 2, 4, 8, 10])
    ideal: Any = axes.lines[0]
    if name == "speed_up":
        assert ideal.get_xydata().tolist() == [[hosts, hosts] for hosts in (1, 2, 4, 8, 10)]
    else:
        assert list(ideal.get_ydata()) == [1, 1]
    assert axes.get_xlabel() == "hosts"


def test_what_is_lost_in_noise_is_hollow() -> None:
    document = copy.deepcopy(benchmark(4))
    noisy = document["scaling"]["strong"]["rows"][1]["speed_up"]
    noisy |= {"low": 0.5 * noisy["median"], "high": 2 * noisy["median"]}
    figure = of_benchmark(document, "Speed-up")
    (hollow,) = (line for line in figure.axes[0].lines if line.get_label() == "lost in noise")
    assert hollow.get_xydata().tolist() == [[2, noisy["median"]]]
    assert to_rgb(hollow.get_markerfacecolor()) == (1, 1, 1)
    assert "lost in noise" in labels(figure)
    assert "lost in noise" not in labels(of_benchmark(benchmark(4), "Speed-up"))


def test_kernels_are_drawn_beside_the_published_rates() -> None:
    rows = benchmark(2)["kernel"]["rows"]
    (axes,) = of_benchmark(benchmark(2), "Kernels on one core").axes
    widths = [patch.get_width() for patch in axes.patches]
    medians = [row["points_per_second"]["median"] for row in rows]
    assert widths == pytest.approx([*medians, 1e8 / 11.485, 1e9 / 111.708, 1e10 / 7517.66])
    assert axes.get_xscale() == "log"
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[: len(rows)] == [row["name"] for row in rows]
    assert [text.get_text() for text in axes.texts][-3:] == ["8.71·10⁶", "8.95·10⁶", "1.33·10⁶"]
    low, high = (rows[0]["points_per_second"][end] / 1e9 for end in ("low", "high"))
    assert axes.texts[0].get_text() == f"{medians[0] / 1e9:.2f} ({low:.2f} … {high:.2f})·10⁹"


def test_whole_jobs_are_drawn_step_by_step() -> None:
    jobs = benchmark(2)["jobs"]
    figure = of_benchmark(benchmark(2), "Where the time of a whole job goes")
    for axes, cold in zip(figure.axes, (False, True), strict=True):
        of_kind = [job for job in jobs if job["cold"] is cold]
        steps = [step["seconds"]["median"] for job in of_kind for step in job["steps"]]
        assert [patch.get_width() for patch in axes.patches] == pytest.approx(steps)
        for job, left in zip(of_kind, (0, len(jobs[0]["steps"])), strict=True):
            assert axes.patches[left].get_x() == 0
            end = axes.patches[left + len(job["steps"]) - 1]
            total = sum(step["seconds"]["median"] for step in job["steps"])
            assert end.get_x() + end.get_width() == pytest.approx(total)
        for job, text in zip(of_kind, axes.texts, strict=True):
            assert text.get_text().endswith(f" {job['published']['seconds']:.6g} s")
    assert labels(figure) == [*(step["name"] for step in jobs[0]["steps"]), "whole job"]


def test_cost_of_a_round_is_drawn_as_measured_and_by_the_model() -> None:
    section = benchmark(40, 10)["round"]
    (axes,) = of_benchmark(benchmark(40, 10), "What a round costs besides counting").axes
    for rows, container in zip((section["rows"], section["planner"]), axes.containers, strict=True):
        assert isinstance(container, ErrorbarContainer)
        for seen, held in zip(bars_of(container), spreads(rows, "seconds"), strict=True):
            assert seen == pytest.approx(held)
    for label, name in (
        ("round, model", "round_seconds"),
        ("its network, model", "network_seconds"),
        ("its books, model", "planner_seconds"),
    ):
        (model,) = (line for line in axes.lines if line.get_label() == label)
        assert model.get_xydata().tolist() == [[row["ranks"], row[name]] for row in section["model"]]
        assert model.get_linestyle() == "--"


def test_what_was_not_measured_has_no_panel() -> None:
    titles = {
        "kernel": ["Kernels on one core"],
        "jobs": ["Where the time of a whole job goes"],
        "scaling": ["Speed-up", "Efficiency"],
        "round": ["What a round costs besides counting"],
    }
    nothing = benchmark(2) | dict.fromkeys(titles)
    for section, expected in titles.items():
        only = nothing | {section: benchmark(2)[section]}
        assert [found.title for found in plot_bench.panels(only)] == expected
    assert not list(plot_bench.panels(nothing))


# How it looks


def drawn_texts(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> list[Text]:
    """All texts that are to be seen."""
    texts: list[Text] = []
    draw = Text.draw

    def note(text: Text, renderer: Any) -> None:
        texts.append(text)
        draw(text, renderer)

    with monkeypatch.context() as patch, style.style():
        patch.setattr(Text, "draw", note)
        figure.draw_without_rendering()
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def long_names(result: Result) -> Result:
    """The same on hosts with long names."""
    members = [row.info._replace(host=f"a-very-long-name-of-a-node-{row.info.host}") for row in result.ranks]
    pairs = zip(result.ranks, members, strict=True)
    return replace(result, ranks=tuple(replace(row, info=member) for row, member in pairs))


HOSTS_LOST = {0: [0, 1, 2, 3], 3: [7], 4: [8, 9, 10, 11], 5: [36, 37, 38, 39]}

OF_ANY_SIZE = {"kernel": None, "jobs": None}
"""These parts are as large on any machine."""

CONTENTS: dict[str, Callable[[], Any]] = {
    "2 hosts": lambda: run(2),
    "10 hosts": lambda: long_names(run(10, 4, stopped=True)),
    "1000 hosts": lambda: run(1000, stopped=True),
    "2 hosts, 1 lost": lambda: runs.run(2, losses={5: [1]}),
    "10 hosts, 3 lost": lambda: long_names(runs.run(10, 4, stopped=True, losses=HOSTS_LOST)),
    "1000 hosts, 62 lost": lambda: runs.run(1000, losses={2: [300], 4: [*range(500, 560)], 6: [900]}),
    "benchmark of 10 hosts": lambda: benchmark(40, 10),
    "network of 1 host": lambda: networks.benchmark(1),
    "network of 2 hosts": lambda: networks.benchmark(2),
    "network of 8 hosts": lambda: networks.benchmark(8, silent=True),
    "network of 40 hosts": lambda: networks.benchmark(40),
    "scaling on 1 rank": lambda: benchmark(1) | OF_ANY_SIZE,
    "scaling on 1000 hosts": lambda: benchmark(4000, 1000) | OF_ANY_SIZE,
}


@pytest.mark.parametrize("name", CONTENTS)
def test_no_text_lies_upon_another_or_leaves_the_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [Item(name, CONTENTS[name]())]
    figures = [plot.figure(items)]
    if name in ("10 hosts", "10 hosts, 3 lost", "benchmark of 10 hosts") or name.startswith("network"):
        figures += [figure for _, figure in plot.pictures(items)]
    for figure in figures:
        texts = drawn_texts(figure, monkeypatch)
        assert len(texts) > 5
        boxes = [text.get_window_extent() for text in texts]
        for text, box in zip(texts, boxes, strict=True):
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text.get_text()
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text.get_text()
        for (one, box), (other, other_box) in itertools.combinations(zip(texts, boxes, strict=True), 2):
            assert not box.overlaps(other_box), (one.get_text(), other.get_text())


def test_numbers_on_an_axis_keep_their_distance() -> None:
    assert style.spaced([1, 2, 4, 8, 10], 8) == [1, 2, 4, 10]
    assert style.spaced([1], 8) == [1]
    assert style.spaced([2**power for power in range(21)], 8) == [4, 32, 256, 2048, 2**14, 2**17, 2**20]


def lightness(color: str) -> float:
    """L* of CIELAB, 0 … 100: what is left of a colour in grey."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return float(116 * luminance ** (1 / 3) - 16)


@pytest.mark.parametrize(
    "colors",
    [
        (style.INK, style.DARK, style.MIDDLE, style.LIGHT),
        (plot_timeline.AGAIN, plot_timeline.COUNTING, plot_timeline.REPAIR, plot_timeline.WAITING),
    ],
)
def test_colours_differ_in_grey(colors: tuple[str, ...]) -> None:
    shades = [lightness(color) for color in colors]
    assert all(b - a > 20 for a, b in itertools.pairwise(shades)), shades


# Files


def test_all_formats_are_valid_and_the_same_each_time() -> None:
    items = [Item("t.csv", Trials(10**6, np.array([785_300, 785_400, 785_500])))]
    files = {form: plot.drawn(items, form) for form in plot.FORMATS}
    with Image.open(io.BytesIO(files["png"])) as image:
        image.load()
        assert image.format == "PNG"
        assert image.width == 2000
    texts = [text for element in ET.fromstring(files["svg"]).iter() if (text := element.text)]  # noqa: S314  # our own
    assert "Convergence" in texts
    assert "10⁶" in texts
    assert files["pdf"].startswith(b"%PDF")
    assert b"/FontFile2" in files["pdf"]
    assert not [
        name for name in (b"CreationDate", b"dc:date") if any(name in file for file in files.values())
    ]
    assert files["svg"] == plot.drawn(items, "svg")


def test_what_matplotlib_was_told_elsewhere_changes_nothing() -> None:
    trials = Trials(100, np.array([78, 80, 79]))
    items = [Item("$a$", trials), Item("b", replace(trials, points=1000))]
    before = plot.drawn(items, "svg")
    assert b"Convergence ($a$)" in before
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30, "svg.fonttype": "path"}):
        told = dict(mpl.rcParams)
        assert plot.drawn(items, "svg") == before
        assert dict(mpl.rcParams) == told


def test_without_matplotlib_it_is_said_how_to_get_it() -> None:
    program = """
import sys
from mpi_pi.report import sources as inputs; from mpi_pi.report.plots import figure as plot
assert "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None
try:
    plot.drawn([], "png")
except plot.PlottingUnavailable as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "pictures need matplotlib: pip install matplotlib\n"
