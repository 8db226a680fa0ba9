"""A progress bar on standard error."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from mpi_pi import launcher

PART = "{desc:>8} {percentage:3.0f}%|{bar}| {elapsed}"
"""How a bar looks that goes from 0 to 1, for the part of a whole that is called `desc`."""


@contextlib.contextmanager
def bar(wanted: str, total: float, initial: float = 0, **style: Any) -> Iterator[Callable[[float], object]]:
    """Yields what to call with how far it has got, of `total`.

    `wanted` is "auto" for a bar on a terminal alone, "on" or "off"; `style` is for tqdm.
    """
    stream = (wanted != "off" and launcher.stream_of_launcher(2)) or sys.stderr
    if wanted == "off" or (wanted == "auto" and not stream.isatty()):
        yield lambda done: None
        return
    import tqdm

    with tqdm.tqdm(
        total=total,
        initial=initial,
        leave=False,
        ncols=78,
        file=stream,
        delay=0.5 if wanted == "auto" else 0,  # what is over at once needs no bar
        **style,
    ) as shown:
        yield lambda done: shown.update(done - shown.n)
