"""Figures of what files hold, all panels in one figure or each in its own.

matplotlib is an extra of the package, and heavy: it is imported when something is to be drawn.
"""

import contextlib
import importlib.util
import io
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.errors import RunError, UserError
from mpi_pi.formatting import shortened
from mpi_pi.model.result import Result
from mpi_pi.report.sources import Item
from mpi_pi.storage.trial_log import Trials
from mpi_pi.system import imports

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mpi_pi.report.plots.style import Panel

FORMATS = ("png", "svg", "pdf")

PAGE_WIDTH, WIDTH_ALONE = 10.0, 8.0
"""Inches of two panels side by side, and of a panel that is a figure of its own."""

MAX_NAME_LETTERS = 30
"""Letters of a file's name in a title."""


class PlottingUnavailable(RunError):
    """There is no matplotlib, or it is broken."""


class NothingToDraw(UserError):
    """No item has anything to show."""


def panels(items: Sequence[Item]) -> list["Panel"]:
    """Return the panels of the items, in their order, trial logs last. Raises PlottingUnavailable.

    A trial log is drawn with the run that wrote it, if that is among the items.
    """
    try:
        with _without_settings_of_users():
            import matplotlib.figure  # noqa: F401  # whether it is there
    except Exception as error:  # whatever a package raises that is broken
        why = imports.explain(error)
        if importlib.util.find_spec("matplotlib") is None:
            why = "pictures need matplotlib: pip install matplotlib"
        raise PlottingUnavailable(why) from error
    # These import matplotlib.
    from mpi_pi.report.plots import bench as plot_bench
    from mpi_pi.report.plots import burn_in as plot_burn_in
    from mpi_pi.report.plots import run as plot_run

    logs = [item.content for item in items if isinstance(item.content, Trials)]
    found: list[tuple[str, Iterator[Panel]]] = []
    drawn: list[Trials] = []
    for name, content in sorted(items, key=lambda item: isinstance(item.content, Trials)):
        if isinstance(content, Result):
            log = next((log for log in logs if log.belong_to(content)), None)
            drawn += [log] if log else []
            found.append((name, plot_run.panels(content, log.hits if log else None)))
        elif isinstance(content, BurnIn):
            found.append((name, plot_burn_in.panels(content)))
        elif not isinstance(content, Trials):
            found.append((name, plot_bench.panels(content)))
        elif not any(content is log for log in drawn):
            found.append((name, plot_run.trial_panels(content.points, content.hits)))
    if len(found) == 1:
        return list(found[0][1])
    return [
        panel._replace(title=f"{panel.title} ({shortened(name, MAX_NAME_LETTERS)})")
        for name, of_item in found
        for panel in of_item
    ]


@contextlib.contextmanager
def _without_settings_of_users() -> Iterator[None]:
    """Import matplotlib in this context, in which it sees neither a backend nor a settings file of the user.

    A terminal of Jupyter names a backend that only Jupyter has, and a broken file in the present folder is no
    reason not to draw.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no warnings of fonts and folders
    backend = os.environ.pop("MPLBACKEND", None)
    found = importlib.util.find_spec("matplotlib")
    # matplotlib first reads a file in the present folder; the one in this folder has its own settings.
    folder = Path(found.origin).parent / "mpl-data" if found and found.origin else Path()
    try:
        with contextlib.chdir(folder) if folder.is_dir() else contextlib.nullcontext():
            yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def pictures(items: Sequence[Item]) -> Iterator[tuple[str, "Figure"]]:
    """Generate a title, and a figure of 800 pixels with that title, for each panel.

    Raises PlottingUnavailable.
    """
    for panel in panels(items):
        yield panel.title, _laid_out([[panel]], WIDTH_ALONE)


def figure(items: Sequence[Item]) -> "Figure":
    """Return the figure of all panels of all items. Raises PlottingUnavailable and NothingToDraw."""
    rows: list[list[Panel]] = []
    for panel in panels(items):
        if rows and len(rows[-1]) == 1 and not (panel.wide or rows[-1][0].wide):
            rows[-1].append(panel)
        else:
            rows.append([panel])
    if not rows:
        names = ", ".join(item.name for item in items)
        raise NothingToDraw(f"{names}: nothing was counted or measured, so there is nothing to be drawn")
    return _laid_out(rows, PAGE_WIDTH)


def _laid_out(rows: Sequence[Sequence["Panel"]], width: float) -> "Figure":
    """Return a figure of rows of one or two panels, `width` in inches; a single panel fills its row."""
    from matplotlib.figure import Figure  # heavy

    from mpi_pi.report.plots.style import style  # with matplotlib

    with style():
        heights = [max(panel.height for panel in row) for row in rows]
        figure = Figure((width, sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(rows), 2, height_ratios=heights)
        for place, row in enumerate(rows):
            columns: tuple[int | slice, ...] = (slice(2),) if len(row) == 1 else (0, 1)
            for panel, column in zip(row, columns, strict=True):
                part = figure.add_subfigure(grid[place, column])
                part.suptitle(panel.title, fontweight="bold")
                panel.draw(part)
    return figure


def written(figure: "Figure", form: str) -> bytes:
    """Return a figure as a file of one of FORMATS; equal figures give equal bytes."""
    from mpi_pi.report.plots.style import style  # with matplotlib

    dates: dict[str, dict[str, None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    file = io.BytesIO()
    with style():
        figure.savefig(file, format=form, metadata=dates[form])
    return file.getvalue()


def drawn(items: Sequence[Item], form: str) -> bytes:
    """Return `figure(items)` as a file of one of FORMATS. Raises PlottingUnavailable and NothingToDraw."""
    return written(figure(items), form)
