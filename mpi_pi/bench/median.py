"""Repeated measurements of one thing: their median, and how sure that is."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

CONFIDENCE = 0.95

MAX_RATIO = 1.5
"""Of the ends of an interval that still says something; beyond it noise has drowned the number."""


@dataclass(frozen=True)
class MedianCI:
    """The median of some measurements, with an interval that the true median lies in."""

    median: float
    low: float
    high: float
    samples: tuple[float, ...]
    """In the order in which they were taken, so that those of things that took turns can be paired."""

    @property
    def drowned(self) -> bool:
        """Whether the noise leaves nothing to be said of a quantity above zero."""
        return self.low <= 0 or self.high > MAX_RATIO * self.low


def of(samples: Iterable[float]) -> MedianCI:
    """The median of one sample or more, and the interval between two of them for it.

    It holds the true median with a probability of at least `CONFIDENCE`, whatever the distribution: each
    sample is below it with probability 1/2, so their number is binomial (Conover, "Practical Nonparametric
    Statistics", 3.2). With fewer than six samples it is all of their range, which holds it with 1 - 2^(1-n).
    """
    taken = tuple(float(sample) for sample in samples)
    ordered = sorted(taken)
    off = _left_out(len(ordered))
    return MedianCI(statistics.median(ordered), ordered[off], ordered[-1 - off], taken)


def ratio(above: Sequence[float], below: Sequence[float]) -> MedianCI:
    """Of things that took turns: the quotient of each turn, and its spread."""
    return of(a / b for a, b in zip(above, below, strict=True))


def as_fields(spread: MedianCI) -> dict[str, Any]:
    """A spread as a JSON object; `from_fields` undoes it."""
    return asdict(spread) | {"samples": list(spread.samples)}


def from_fields(fields: Mapping[str, Any]) -> MedianCI:
    """The spread that a JSON object holds. Raises KeyError, TypeError or ValueError if it does not."""
    median, low, high = (float(fields[name]) for name in ("median", "low", "high"))
    return MedianCI(median, low, high, tuple(map(float, fields["samples"])))


def in_words(spread: MedianCI, form: str = ".3g", scale: float = 1.0) -> str:
    """`4.1 (3.9 … 4.3)`, each number times `scale`; or that the number is lost in noise, and its interval."""
    interval = f"{spread.low * scale:{form}} … {spread.high * scale:{form}}"
    if spread.drowned:
        return f"lost in noise ({interval})"
    return f"{spread.median * scale:{form}} ({interval})"


def _left_out(number: int) -> int:
    """How many of so many ordered samples lie outside of the interval, at each end.

    The interval misses the true median if no more than these are on one side of it.
    """
    out, ways = 0, 1
    while 2 * (ways := ways + math.comb(number, out + 1)) <= (1 - CONFIDENCE) * 2**number:
        out += 1
    return out
