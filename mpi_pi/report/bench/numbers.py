"""Measured numbers as text."""

from mpi_pi.bench.median import MedianCI
from mpi_pi.report.blocks import Cell

LOST = "lost in noise"
"""Written instead of a median whose interval is too wide."""


def format_ci(ci: MedianCI, form: str = ".3g", scale: float = 1.0) -> Cell:
    """Return `4.1 (3.9 … 4.3)`, each number times `scale`; `lost in noise (1.0 … 9.0)` if inconclusive."""
    median = LOST if ci.inconclusive else f"{ci.median * scale:{form}}"
    return ci_cell(f"{median} ({ci.low * scale:{form}} … {ci.high * scale:{form}})", ci, scale)


def ci_cell(text: str, ci: MedianCI | None, scale: float = 1.0) -> Cell:
    """Return the cell of a median, with its interval; None stands for one that is not known."""
    ends = {"": ci.median, "low": ci.low, "high": ci.high} if ci else dict.fromkeys(("", "low", "high"))
    return Cell(text, {name: value if value is None else value * scale for name, value in ends.items()})
