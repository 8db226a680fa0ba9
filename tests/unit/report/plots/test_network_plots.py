"""Pictures of a network: they show the values of the file."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from mpi_pi.report.plots import bench as plot_bench
from mpi_pi.report.plots import network as plot_network
from mpi_pi.report.plots import style
from support import networks

benchmark = cache(networks.benchmark)
CURVES = ("Latency over message size", "Bandwidth over message size")
MAPS = ("Latency of pairs, messages of 1 B", "Bandwidth of pairs, messages of 1 MiB")


def drawn(document: dict[str, Any], title: str) -> Any:
    (found,) = (panel for panel in plot_bench.panels(document) if panel.title == title)
    figure = Figure()
    with style.style():
        found.draw(figure)
    return figure


@pytest.mark.parametrize(("title", "member"), [*zip(CURVES, plot_network.UNITS, strict=True)])
def test_curves_have_the_medians_of_each_link(title: str, member: str) -> None:
    links = benchmark(4)["network"]["links"]
    (axes,) = drawn(benchmark(4), title).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    lines = [container.lines[0] for container in axes.containers]
    assert len(lines) == len(links)
    for line, link in zip(lines, links, strict=True):
        assert line.get_xdata().tolist() == [row["bytes"] for row in link["rows"]]
        assert line.get_ydata().tolist() == [row[member]["median"] for row in link["rows"]]


def test_of_many_links_the_median_and_the_worst_are_drawn() -> None:
    figure = drawn(benchmark(40), CURVES[0])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["all 39 links", "median of all", "node00 – node39, the slowest"]


@pytest.mark.parametrize("place", [0, 1])
def test_map_has_the_median_of_each_pair(place: int) -> None:
    document = benchmark(4, silent=True)
    axes, bar = drawn(document, MAPS[place]).axes
    (image,) = axes.images
    values = image.get_array().filled(math.nan)
    member = [*plot_network.UNITS][place]
    for link in document["network"]["pairs"]["links"]:
        sender, receiver = (rank // 2 for rank in link["ranks"])
        expected = link["rows"][-place][member]["median"] if link["rows"] else math.nan
        np.testing.assert_equal(values[sender, receiver], expected)
    assert np.isnan(values.diagonal()).all()
    silent = {(2, 3), (3, 2)}
    assert {*zip(*axes.lines[0].get_data(), strict=True)} == silent
    # The worst is darkest, whether it is the greatest or the least.
    worst, best = (np.nanmin, np.nanmax) if place else (np.nanmax, np.nanmin)
    shades = [sum(image.cmap(image.norm(each(values)))[:3]) for each in (worst, best)]
    assert shades[0] < shades[1]
    unit = plot_network.UNITS[member]
    assert any(label.get_text().endswith(unit) for label in bar.get_yticklabels())


def test_pairs_that_were_not_asked_for_have_no_map() -> None:
    document = benchmark(2) | {"network": benchmark(2)["network"] | {"pairs": None}}
    assert [panel.title for panel in plot_bench.panels(document)] == [*CURVES]
    alone = benchmark(2) | {"network": {"between": "ranks", "links": [], "pairs": None}}
    assert not list(plot_bench.panels(alone))
