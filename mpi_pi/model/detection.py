"""Rate at which an audit finds a rank that counts some units wrongly.

It is exact for `parallel.audit_plan` with ranks of equal rates, and for units that are wrong independently of
each other with the probability `error_rate`, whether the rank counts them first or again. In each round a
rank is compared with others in its own audited units and in as many units of others; it is found in the
round in which one of these is wrong. Which units are audited does not matter, only how many.

Errors in bursts of consecutive units are found more slowly, since audited units lie in runs: a burst of
b units in cells of s units meets a run with a probability between `share` and `share` + (b - 1) / s, hardly
more than a single wrong unit. So for bursts much shorter than a cell `error_rate` is the rate of bursts.
"""

from collections.abc import Iterator
from itertools import pairwise

CELLS = 4
"""Runs of audited units of a rank, unless so few units are audited; see `parallel.audit_plan`."""


def audited_units(share: float, units: int) -> Iterator[tuple[float, int]]:
    """Generate probabilities, and numbers of audited units of a rank that counts `units` in a round."""
    expected = share * units
    if expected < 1:  # one unit of each rank in some rounds
        yield from ((1 - expected, 0), (expected, 1))
        return
    cells = min(int(expected), CELLS)
    size, larger = divmod(units, cells)
    audited = ((size * share, cells - larger), ((size + 1) * share, larger))
    # In a round, all runs are rounded up or down by the same number, drawn from 0 to 1.
    limits = sorted({0.0, 1.0, *(1 - number % 1 for number, runs in audited if runs)})
    for low, high in pairwise(limits):
        yield high - low, sum(runs * int(number + (low + high) / 2) for number, runs in audited)


def missed(share: float, units: int, error_rate: float) -> float:
    """Return the probability that a rank of this error rate is not found in a round."""
    return sum(chance * (1 - error_rate) ** (2 * number) for chance, number in audited_units(share, units))


def found(share: float, units: int, error_rate: float, rounds: int) -> float:
    """Return the probability that such a rank is found within a number of rounds."""
    return float(1 - missed(share, units, error_rate) ** rounds)


def mean_rounds(share: float, units: int, error_rate: float) -> float:
    """Return the mean number of rounds until such a rank is found, including that in which it is."""
    return 1 / (1 - missed(share, units, error_rate))


def mean_wrong_units(share: float, units: int, error_rate: float) -> float:
    """Return the mean number of units that such a rank counts wrongly until it is found."""
    return error_rate * units * mean_rounds(share, units, error_rate)
