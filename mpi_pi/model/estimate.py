"""Estimate of pi from a tally, with the statistics that test it.

Under the null hypothesis each point is a hit with probability p = pi / 4, independently, so the hits of n
points are binomial. All statistics use that p, not an estimate of it.
"""

import itertools
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from mpi_pi.model import binomial, goodness
from mpi_pi.model.binomial import centre
from mpi_pi.model.dispersion import dispersion
from mpi_pi.model.goodness import Fit
from mpi_pi.model.tally import Tally

PI = Decimal(
    "3.1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679"
)


@dataclass(frozen=True)
class Estimate:
    """Estimate of pi and test statistics of a tally of at least one point."""

    hits: int
    points: int
    units: int
    pi: str
    """4 * hits / points, as `decimal_quotient` writes it."""
    standard_error: float
    """Standard error of `pi`: 4 * sqrt(p (1 - p) / points)."""
    standard_errors: float
    """Signed distance of `pi` from pi, in standard errors."""
    distance_bound: float
    """Upper bound of the probability of such a distance on its side, see `binomial.tail`."""
    chi_squared: float
    """Dispersion of the units' hits about their expectation, with `units` degrees of freedom."""
    p_value: float
    """Probability of a larger chi-squared."""
    lower_p_value: float
    """Probability of a smaller one: 1 - `p_value` without the rounding."""
    dispersion_bound: float | None
    """Upper bound of the probability of a chi-squared as extreme on its side, see `dispersion`. None for a
    single unit, for which it says no more than the distance."""
    fit: Fit | None
    """Goodness of fit of the units that are binned; None for too few of them."""
    correct_digits: int
    """Leading digits that the estimate shares with pi, including the 3."""


def estimate(tally: Tally) -> Estimate:
    """Return the estimate that follows from a tally; raise ValueError if the tally has no points."""
    hits, points = tally.hits, tally.points
    if not points:
        raise ValueError("no points were counted")
    pi = decimal_quotient(4 * hits, points)
    # Exact integers of about 2 * log10(points) digits that nearly cancel: 100 digits suffice.
    with localcontext(Context(prec=100)):
        p = PI / 4
        variance = p * (1 - p)
        excess_hits = hits - points * p
        chi_squared = Decimal(0)
        for size, sums in tally.by_size.items():
            squares = _squares_about(size * p, centre(size), sums.units, sums.hits, sums.squares)
            chi_squared += squares / (size * variance)
        excess = float(chi_squared - tally.units)
        standard_error = float(4 * (variance / points).sqrt())
        standard_errors = float(excess_hits / (points * variance).sqrt())
    tests = dispersion({size: sums.units for size, sums in tally.by_size.items()}, excess)
    binned = next(((size, sums.bins) for size, sums in tally.by_size.items() if sums.bins), None)
    return Estimate(
        hits=hits,
        points=points,
        units=tally.units,
        pi=pi,
        standard_error=standard_error,
        standard_errors=standard_errors,
        distance_bound=float(binomial.tail(points, float(excess_hits))),
        chi_squared=float(chi_squared),
        p_value=tests.p_value,
        lower_p_value=tests.lower_p_value,
        dispersion_bound=tests.bound if tally.units > 1 else None,
        fit=binned and goodness.fit(*binned),
        correct_digits=digits_in_common(pi, str(PI)),
    )


def _squares_about(mean: Decimal, about: int, units: int, hits: int, squares: int) -> Decimal:
    """Return the sum of squares about `mean`, given the sum of squares about the integer `about`."""
    shift = mean - about
    return squares - 2 * shift * (hits - units * about) + units * shift * shift


def decimal_quotient(numerator: int, denominator: int) -> str:
    """Return numerator / denominator in decimal, correctly rounded, ties to even.

    It has as many decimals as `denominator - 1` has digits, enough to tell any two results apart, and at
    least 8; trailing zeros are dropped: 4 * 78538813 / 100000000 is 3.14155252.
    """
    decimals = max(8, len(str(denominator - 1)))
    digits = len(str(numerator)) + decimals + 1
    with localcontext(Context(prec=2 * digits + 10, rounding=ROUND_HALF_EVEN)):
        scaled, rest = divmod(numerator * 10**decimals, denominator)
        scaled += 2 * rest > denominator or (2 * rest == denominator and scaled % 2)
        text = f"{Decimal(scaled).scaleb(-decimals):f}"
    return text.rstrip("0").rstrip(".")


def digits_in_common(a: str, b: str) -> int:
    """Return how many leading decimal digits two numbers share."""
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))
    return sum(x != "." for x, _ in shared)
