"""From a tally to pi: the estimate, its error, and whether to believe it.

Under the hypothesis that every point hits with probability p = pi/4, independently, the hits of n points
are binomial. What is reported is measured against that, with p the true one, not the estimated.
"""

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from mpi_pi.tally import Tally, centre

PI = Decimal(
    "3.1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679"
)

MAX_STANDARD_ERRORS = 5.0
MIN_P_VALUE = 1e-7
"""Verification fails beyond 5 standard errors, or for a dispersion p-value outside 1e-7 … 1 - 1e-7:
of a million correct runs about one is refused."""

EXACT_FREEDOM = 1000
"""Up to this many degrees of freedom the chi-squared distribution is summed exactly."""


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
    chi_squared: float
    """Dispersion of the units' hits about their expectation, with `units` degrees of freedom."""
    p_value: float
    """The chance of a larger chi-squared."""
    correct_digits: int
    """Leading digits that the estimate has in common with pi, the 3 among them."""

    @property
    def verified(self) -> bool:
        """Whether the answer is one that a correct run gives, by the criteria above."""
        close = abs(self.standard_errors) <= MAX_STANDARD_ERRORS
        return close and MIN_P_VALUE <= self.p_value <= 1 - MIN_P_VALUE


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
        deviation = hits - points * p
        chi_squared = sum(
            (
                _squares_about(points * p, centre(points), sums.units, sums.hits, sums.squares)
                / (points * variance)
                for points, sums in tally.by_size.items()
            ),
            Decimal(0),
        )
        return Estimate(
            hits=hits,
            points=points,
            units=tally.units,
            pi=pi,
            standard_error=float(4 * (variance / points).sqrt()),
            standard_errors=float(deviation / (points * variance).sqrt()),
            chi_squared=float(chi_squared),
            p_value=chi_squared_tail(float(chi_squared), tally.units),
            correct_digits=digits_in_common(pi, str(PI)),
        )


def deviation(points: int) -> float:
    """The standard deviation of the hits of so many points."""
    p = math.pi / 4
    return math.sqrt(points * p * (1 - p))


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


def chi_squared_tail(x: float, freedom: int) -> float:
    """The chance that chi-squared with `freedom` >= 1 degrees of freedom exceeds x >= 0.

    Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.4.4 and 26.4.5, finite sums, up to 1000
    degrees; beyond, the cube root is normal (26.4.14, Wilson and Hilferty), which is off by 1e-5 there
    and less for more.
    """
    if freedom > EXACT_FREEDOM:
        spread = 2 / (9 * freedom)
        z = ((x / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
        return math.erfc(z / math.sqrt(2)) / 2
    if x <= 0:
        return 1.0
    start = freedom % 2
    total = math.erfc(math.sqrt(x / 2)) if start else 0.0
    for k in range(start, freedom, 2):  # in logarithms: e^(-x/2) alone may underflow
        total += math.exp(k / 2 * math.log(x / 2) - x / 2 - math.lgamma(k / 2 + 1))
    return min(total, 1.0)
