"""A progress bar on standard error."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from mpi_pi.cli import console
from mpi_pi.system import imports

PART = "{desc:>8} {percentage:3.0f}%|{bar}| {elapsed}"
"""Format of a bar that goes from 0 to 1, for a part named `desc`."""

MAX_COLUMNS = 78

SHORT = "{percentage:3.0f}%|{bar}| {remaining} {rate_fmt}"
"""Format of a bar on a terminal of fewer than MAX_COLUMNS."""


@contextlib.contextmanager
def bar(wanted: str, total: float, initial: float = 0, **style: Any) -> Iterator[Callable[[float], object]]:
    """Show a progress bar, and yield the function to call with the progress, from `initial` to `total`.

    `wanted` is "auto" for a bar only on a terminal, "on" or "off"; `style` has arguments for tqdm.
    """
    stream = console.diagnostics() if wanted != "off" else None
    if stream is None or (wanted == "auto" and not stream.isatty()):
        yield lambda done: None
        return
    try:
        from tqdm import tqdm  # optional, and not needed without a bar
    except Exception as error:  # a broken package may raise any exception
        if wanted == "on":
            stream.write(f"mpi-pi: warning: argument --progress: {imports.explain(error)}\n")
        yield lambda done: None
        return

    # tqdm's own lock is for other processes, too: from Python 3.14 on, it starts one more, which may warn.
    tqdm.set_lock(threading.RLock())
    terminal = console.columns(stream) or 0
    # One column less than the terminal, which would fold a full line.
    columns = min(terminal - 1, MAX_COLUMNS) if terminal > 1 else MAX_COLUMNS
    if columns < MAX_COLUMNS:
        style = {"bar_format": SHORT} | style
    with tqdm(
        total=total,
        initial=initial,
        leave=False,
        ncols=columns,
        file=stream,
        delay=0.5 if wanted == "auto" else 0,  # a short task needs no bar
        **style,
    ) as shown:
        yield lambda done: shown.update(done - shown.n)
