"""Pictures of burn-ins: they show the values of the document, for few hosts and for many."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from mpi_pi.burn_in import document
from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.report import html
from mpi_pi.report.plots import burn_in as plot_burn_in
from mpi_pi.report.plots import burn_in_series as series
from mpi_pi.report.plots import figure as plot
from mpi_pi.report.sources import Item
from support.burn_ins import EVERY, RATE, UNKNOWN, both, healthy, on, wrong


def drawn(burn_in: BurnIn) -> list[tuple[str, Any]]:
    """Return the title and the figure of each panel."""
    figures = []
    for panel in plot_burn_in.panels(burn_in):
        figure = Figure()
        panel.draw(figure)
        figures.append((panel.title, figure))
    return figures


@pytest.mark.parametrize("hosts", [1, 2, 8])
def test_each_of_few_hosts_has_a_panel_with_its_rates_and_temperature(hosts: int) -> None:
    burn_in = healthy(hosts, 2, slow={1: 0.6})
    figures = drawn(burn_in)
    assert [title for title, _ in figures] == [f"Burn-in of node{place + 1}" for place in range(hosts)]
    rates, temperature = figures[0][1].axes
    steady = rates.lines[:2]
    for line, work in zip(steady, burn_in.phases[0].ranks, strict=False):
        assert line.get_ydata() == pytest.approx([(rate or 0) / 1e6 for rate in work.rates])
    warm = [sample.celsius for sample in burn_in.phases[0].hosts[0].samples]
    assert temperature.lines[0].get_ydata().tolist() == warm
    assert rates.get_xlim() == (0, 600)
    assert [text.get_text() for text in rates.texts] == ["All cores", "One core at a time", "On and off"]


def test_host_with_many_ranks_shows_their_range_and_the_slowest() -> None:
    burn_in = healthy(1, 64, slow={5: 0.6})
    ((_, figure),) = drawn(burn_in)
    lowest = figure.axes[0].lines[0].get_ydata()
    assert lowest == pytest.approx([rate / 1e6 for rate in burn_in.phases[0].ranks[5].rates if rate])


@pytest.mark.parametrize("hosts", [9, 16, 200])
def test_many_hosts_are_rows_of_two_maps(hosts: int) -> None:
    burn_in = on(3, samples=(50,), throttled_seconds=2.0)(healthy(hosts, 4, slow={20: 0.7}, hot={7: 0.6}))
    (_, rates), (_, temperatures) = drawn(burn_in)
    (image,) = rates.axes[0].images
    grid = np.asarray(image.get_array())
    assert grid.shape == (hosts, plot_burn_in.COLUMNS)
    first = grid[:, 0]
    assert first[5] == pytest.approx(0.7, abs=0.02)
    assert np.delete(first, 5) == pytest.approx(np.ones(hosts - 1), abs=0.03)
    assert grid[7, plot_burn_in.COLUMNS // 2 - 1] == pytest.approx(0.6, abs=0.02)
    (mark,) = (line for line in rates.axes[0].lines if line.get_marker() == "x")
    assert mark.get_xydata().tolist() == [[250.0, 3.0]]
    warm = np.asarray(temperatures.axes[0].images[0].get_array())
    assert warm[7].max() == max(sample.celsius or 0 for sample in burn_in.phases[2].hosts[7].samples)
    names = {label.get_text() for label in rates.axes[0].get_yticklabels()}
    assert ({"node4", "node6", "node8"} if hosts < 100 else {"node4"}) <= names  # as far as there is room
    assert len(names) <= plot_burn_in.MAX_NAMED


def test_hosts_without_sensors_have_no_temperature() -> None:
    phases = ("steady", "alone", "pulsed")
    blind = both(*(on(host, name, EVERY, **UNKNOWN) for host in range(2) for name in phases))(healthy(2))
    assert [len(figure.axes) for _, figure in drawn(blind)] == [1, 1]
    many = both(*(on(host, name, EVERY, **UNKNOWN) for host in range(9) for name in phases))(healthy(9))
    assert [title for title, _ in drawn(many)] == ["Rate of the slowest core of each host"]


def test_typical_rate_is_that_of_the_same_kind_of_host() -> None:
    burn_in = healthy(4, 2, slow={4: 0.5, 5: 0.5, 6: 0.5, 7: 0.5})
    hosts = [
        host._replace(cpu="Raspberry Pi 3") if place > 1 else host for place, host in enumerate(burn_in.hosts)
    ]
    relative = series.relative_rates(replace(burn_in, hosts=tuple(hosts)), burn_in.phases[0])
    assert relative.values == pytest.approx(np.ones((4, 60)), abs=0.03)


def test_steps_without_work_have_the_value_before_them() -> None:
    values = np.array([[np.nan, 1, np.nan, np.nan, 2, np.nan]])
    assert series.filled(values)[0, 1:].tolist() == [1, 1, 1, 2, 2]
    assert np.isnan(series.filled(values)[0, 0])
    told = series.rates(healthy(1, 2).phases[1])
    assert np.isnan(told.values).sum() == 60
    assert np.nanmax(told.values) == pytest.approx(RATE, rel=0.02)


@pytest.mark.parametrize("hosts", [1, 3, 40])
def test_picture_and_page_are_made_of_a_document(hosts: int) -> None:
    burn_in = healthy(hosts, 2)
    again = document.of_content(document.dumps(burn_in, []).encode())
    png = plot.drawn([Item("burn-in.json", again)], "png")
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (healthy, "<b>PASSED</b> 600 s on 4 hosts"),
        (lambda: wrong(5)(healthy()), "<b>FAILED</b> 1 fault; 600 s on 4 hosts"),
        (lambda: replace(healthy(), stopped="SIGINT"), "<b>NOT COMPLETE</b> no faults so far"),
    ],
)
def test_page_has_the_verdict_and_the_sentences(change: Callable[[], BurnIn], verdict: str) -> None:
    page = html.page([Item("burn-in.json", change())])
    assert verdict in page
    assert page.count("<figure") == 4
    assert ("no result of this core can be trusted" in page) == ("FAILED" in verdict)


def test_burn_in_that_never_began_has_no_picture() -> None:
    assert list(plot_burn_in.panels(replace(healthy(), phases=()))) == []
