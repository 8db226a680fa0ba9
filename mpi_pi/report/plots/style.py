"""Panels, and a style for all pictures that also works in grey."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import FigureBase
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

INK, DARK, MIDDLE, LIGHT = "#1b1b1b", "#1b4f7f", "#dd7d2a", "#c9dcec"
"""Colours, each much lighter than the one before, so that they differ in grey."""

Look = dict[str, Any]
"""Properties of lines and areas, as matplotlib names them."""

STYLE: Any = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "font.size": 9,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e2e2e2",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # host and file names may contain dollars
    "svg.fonttype": "none",  # text stays text, to be searched and read aloud
    "svg.hashsalt": "mpi-pi",  # the same names of parts each time
    "pdf.fonttype": 42,  # whole TrueType fonts: text can be searched and copied
}


class Panel(NamedTuple):
    """A picture that has not been drawn yet."""

    title: str
    draw: Callable[[FigureBase], None]
    """Draws the picture, without its title, into an empty figure or a part of one."""
    wide: bool = False
    """True for a picture that needs all the width of a page."""
    height: float = 3.9
    """Inches."""


@contextmanager
def style() -> Iterator[None]:
    """Make and write figures in this context, in which no other settings of matplotlib hold."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def legend(figure: FigureBase, axes: Axes, columns: int = 3, markerscale: float | None = None) -> None:
    """Add a legend of `axes` below everything else, where it cannot cover data."""
    place: Look = {"loc": "outside lower center", "ncols": columns, "markerscale": markerscale}
    figure.legend(*axes.get_legend_handles_labels(), **place)


def power_of_ten(exponent: int) -> str:
    """Return a power of ten with a superscript: 10⁹."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def binary_size(size: int) -> str:
    """Return a number of bytes: `4 KiB` of 4096."""
    power = min((size.bit_length() - 1) // 10, 2)
    return f"{size / 1024**power:g} {('B', 'KiB', 'MiB')[power]}"


def label_decades(axis: Axis) -> None:
    """Label a logarithmic axis at powers of ten, and a short axis also between them."""

    def label(value: float, _: int | None) -> str:
        if 0.9 < value < 900:
            return f"{value:.0f}"
        exponent = math.floor(math.log10(value) + 1e-9)
        leading = round(value / 10.0**exponent)
        return f"{leading}·{power_of_ten(exponent)}" if leading > 1 else power_of_ten(exponent)

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5) if high < 100 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(label))
    axis.set_minor_locator(NullLocator())


def number_ticks(axes: Axes, values: Sequence[int], most: int = 8) -> None:
    """Give `axes` a logarithmic x axis of base two, with labels at those of the values that have room."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(spaced(values, most))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def spaced(values: Sequence[int], most: int) -> list[int]:
    """Return the last of ascending values, and those before it that are far enough apart in logarithms."""
    apart = math.log(values[-1] / values[0]) / most
    kept = [values[-1]]
    for value in reversed(values):
        if value != kept[0] and math.log(kept[0] / value) >= apart:
            kept.insert(0, value)
    return kept
