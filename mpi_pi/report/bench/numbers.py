"""Measured numbers as text."""

from mpi_pi.bench.median import MedianCI

LOST = "lost in noise"
"""Written instead of a median whose interval is too wide."""


def format_ci(ci: MedianCI, form: str = ".3g", scale: float = 1.0) -> str:
    """Return `4.1 (3.9 … 4.3)`, each number times `scale`; `lost in noise (1.0 … 9.0)` if inconclusive."""
    median = LOST if ci.inconclusive else f"{ci.median * scale:{form}}"
    return f"{median} ({ci.low * scale:{form}} … {ci.high * scale:{form}})"
