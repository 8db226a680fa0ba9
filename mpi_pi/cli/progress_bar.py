"""A progress bar on standard error."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from mpi_pi.cli import console
from mpi_pi.system import imports

PART = "{desc:>8} {percentage:3.0f}%|{bar}| {elapsed}"
"""How a bar looks that goes from 0 to 1, for the part of a whole that is called `desc`."""

MAX_COLUMNS = 78

SHORT = "{percentage:3.0f}%|{bar}| {remaining} {rate_fmt}"
"""How one looks that has no room for more."""


@contextlib.contextmanager
def bar(wanted: str, total: float, initial: float = 0, **style: Any) -> Iterator[Callable[[float], object]]:
    """Yields what to call with how far it has got, of `total`.

    `wanted` is "auto" for a bar on a terminal alone, "on" or "off"; `style` is for tqdm.
    """
    stream = console.diagnostics() if wanted != "off" else None
    if stream is None or (wanted == "auto" and not stream.isatty()):
        yield lambda done: None
        return
    try:
        from tqdm import tqdm
    except Exception as error:  # whatever a package raises that is broken
        if wanted == "on":
            stream.write(f"mpi-pi: warning: argument --progress: {imports.explain(error)}\n")
        yield lambda done: None
        return

    columns = _columns(stream)
    if columns < MAX_COLUMNS:
        style = {"bar_format": SHORT} | style
    with tqdm(
        total=total,
        initial=initial,
        leave=False,
        ncols=columns,
        file=stream,
        delay=0.5 if wanted == "auto" else 0,  # what is over at once needs no bar
        **style,
    ) as shown:
        yield lambda done: shown.update(done - shown.n)


def _columns(stream: TextIO) -> int:
    """How wide a bar may be, one less than the terminal: a full line would be folded, and stay."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:  # no terminal
        columns = 0
    return min(columns - 1, MAX_COLUMNS) if columns > 1 else MAX_COLUMNS
