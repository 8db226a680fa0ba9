"""From a tally to pi: the estimate, its error, and how it compares with what a correct run gives.

Under the hypothesis that every point hits with probability p = pi/4, independently, the hits of n points
are binomial. What is reported is measured against that, with p the true one, not the estimated. What follows
from it is the matter of `verdict`.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from mpi_pi.model import binomial, goodness
from mpi_pi.model.dispersion import dispersion
from mpi_pi.model.goodness import Fit
from mpi_pi.model.tally import Tally, centre

PI = Decimal(
    "3.1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679"
)


@dataclass(frozen=True)
class Estimate:
    """What a tally of at least one point says of pi, and of the generator that made it."""

    hits: int
    points: int
    units: int
    pi: str
    """4 * hits / points, see `decimal_quotient`."""
    standard_error: float
    """Of the estimate of pi: 4 * sqrt(p (1 - p) / points)."""
    standard_errors: float
    """Distance of the estimate from pi, signed, in standard errors."""
    distance_bound: float
    """At most this is the chance of a distance as large in that direction, see `binomial.tail`."""
    chi_squared: float
    """Dispersion of the units' hits about their expectation, with `units` degrees of freedom."""
    p_value: float
    """The chance of a larger chi-squared."""
    lower_p_value: float
    """The chance of a smaller one: what is missing to 1, but without rounding."""
    dispersion_bound: float | None
    """At most this is the chance of a chi-squared as extreme on its side, see `dispersion`. None for a single
    unit, whose chi-squared is its distance once more."""
    fit: Fit | None
    """Of the units whose hits were binned; None if they are too few to judge."""
    correct_digits: int
    """Leading digits that the estimate has in common with pi, the 3 among them."""


def estimate(tally: Tally) -> Estimate:
    """The estimate of a tally; raises ValueError for one without points."""
    hits, points = tally.hits, tally.points
    if not points:
        raise ValueError("no points were counted")
    pi = decimal_quotient(4 * hits, points)
    # Sums of exact integers of some 2 * log10(points) digits, less nearly the same: 100 digits carry them.
    with localcontext(Context(prec=100)):
        p = PI / 4
        variance = p * (1 - p)
        off = hits - points * p
        chi_squared = sum(
            (
                _squares_about(points * p, centre(points), sums.units, sums.hits, sums.squares)
                / (points * variance)
                for points, sums in tally.by_size.items()
            ),
            Decimal(0),
        )
        excess = float(chi_squared - tally.units)
        standard_error = float(4 * (variance / points).sqrt())
        standard_errors = float(off / (points * variance).sqrt())
    spread = dispersion({points: sums.units for points, sums in tally.by_size.items()}, excess)
    return Estimate(
        hits=hits,
        points=points,
        units=tally.units,
        pi=pi,
        standard_error=standard_error,
        standard_errors=standard_errors,
        distance_bound=float(binomial.tail(points, float(off))),
        chi_squared=float(chi_squared),
        p_value=spread.more,
        lower_p_value=spread.less,
        dispersion_bound=spread.bound if tally.units > 1 else None,
        fit=_fit(tally),
        correct_digits=digits_in_common(pi, str(PI)),
    )


def _fit(tally: Tally) -> Fit | None:
    """The goodness of fit of the only size of unit that is binned."""
    binned = [(points, sums.bins) for points, sums in tally.by_size.items() if sums.bins]
    return goodness.fit(*binned[0]) if binned else None


def _squares_about(mean: Decimal, about: int, units: int, hits: int, squares: int) -> Decimal:
    """The sum of squares about `mean`, given the one about the integer `about`."""
    shift = mean - about
    return squares - 2 * shift * (hits - units * about) + units * shift * shift


def decimal_quotient(numerator: int, denominator: int) -> str:
    """Numerator / denominator, correctly rounded, half to even; every digit is one of the quotient's.

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
    """Leading decimal digits that two numbers, written out, share."""
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += x != "."
    return count
