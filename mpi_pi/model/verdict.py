"""Whether to believe a result: criteria that fewer than one in a million correct runs fail.

Chances are split as follows, so that they add up to one in a million, however many criteria a run has:

    distance from pi            2e-7 on either side                                      4e-7
    dispersion of the units     1e-7 on either side                                      2e-7
    goodness of fit             p-value 5e-8, which chance goes below 3.6 times as often
                                for units of 2 points, the worst, see `goodness`         2e-7
    hits of each of R ranks     1e-7 / R, both sides together                            1e-7
    hits of each of H hosts     1e-7 / H, both sides together                            1e-7

That they are not independent does not matter for a sum (Bonferroni). All but the third go by upper bounds of
the chances, which hold for any number of points and units: `binomial.tail` and `dispersion`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mpi_pi.formatting import format_probability
from mpi_pi.model import binomial
from mpi_pi.model.binomial import Floats
from mpi_pi.model.estimate import Estimate

if TYPE_CHECKING:
    from mpi_pi.model.result import RankStats

DISTANCE = 2e-7
DISPERSION = 1e-7
FIT = 5e-8
RANKS = HOSTS = 1e-7

MAX_NAMED = 10
"""Ranks and hosts that are named one by one."""


class Shares(NamedTuple):
    """What ranks, or hosts, have counted."""

    name: Callable[[int], str]
    """Of the one at an index, in words."""
    points: Floats
    """Shape (ranks or hosts,), like the next."""
    hits: Floats

    def farthest(self) -> tuple[str, float]:
        """Return the name of the one whose hits are farthest off, and its signed standard errors."""
        errors = binomial.standard_errors(self.points, self.hits)
        worst = int(np.abs(errors).argmax())
        return self.name(worst), float(errors[worst])


def shares(rows: Sequence["RankStats"]) -> tuple[Shares, Shares]:
    """Return what each rank has counted in this run, and what the ranks of each host have."""
    points = np.fromiter((row.points for row in rows), np.float64, len(rows))
    hits = np.fromiter((row.hits for row in rows), np.float64, len(rows))
    indices: dict[str, int] = {}
    host = [indices.setdefault(row.info.host, len(indices)) for row in rows]
    names, by_host = list(indices), [np.bincount(host, of_rank) for of_rank in (points, hits)]
    return (
        Shares(lambda k: f"rank {rows[k].rank} on host {rows[k].info.host}", points, hits),
        Shares(lambda k: f"host {names[k]}", *(np.asarray(of_host, np.float64) for of_host in by_host)),
    )


def reasons(estimate: Estimate) -> list[str]:
    """Return why an estimate is not to be believed, in words; nothing if it is."""
    found = []
    if estimate.distance_bound < DISTANCE:
        off = f"{estimate.standard_errors:+.3f} standard errors"
        found.append(f"distance from pi: {off}, {_against(estimate.distance_bound, DISTANCE)}")
    bound, fit = estimate.dispersion_bound, estimate.fit
    if bound is not None and bound < DISPERSION:
        how = "differ too much" if estimate.chi_squared > estimate.units else "are too much alike"
        found.append(f"dispersion: units {how}, {_against(bound, DISPERSION)}")
    if fit and fit.p_value < FIT:
        found.append(f"goodness of fit: hits of units are not binomial, {_against(fit.p_value, FIT)}")
    return found


def suspects(rows: Sequence["RankStats"]) -> tuple[str, ...]:
    """Return which ranks and hosts have hits that are too far off, and how far, in words.

    A single rank or host is not judged, since its hits are those of all; nor are hosts of one rank each.
    """
    if len(rows) == 1:
        return ()
    ranks, hosts = shares(rows)
    several = 1 < len(hosts.points) < len(rows)
    return (*_outliers(ranks, RANKS), *(_outliers(hosts, HOSTS) if several else ()))


def with_wrong_kernel(rows: Sequence["RankStats"]) -> list[str]:
    """Return the names of ranks whose kernels no longer counted the known answers."""
    return _some([f"rank {row.rank} on host {row.info.host}" for row in rows if not row.kernel_right])


def _some(names: list[str]) -> list[str]:
    """Return the first few, and how many more there are."""
    more = [f"{len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return names[:MAX_NAMED] + more


def _outliers(shares: Shares, level: float) -> Iterator[str]:
    """Those of which one or more would be found by chance in a share `level` of runs; the worst first."""
    points, limit = shares.points, level / (2 * len(shares.points))
    errors = binomial.standard_errors(points, shares.hits)
    far = np.flatnonzero(np.abs(errors) > 2)  # the others are common, and need not be looked at
    bounds = binomial.tail(points[far], shares.hits[far] - points[far] * binomial.P)
    found = far[bounds < limit]
    bound = dict(zip(far.tolist(), bounds.tolist(), strict=True))
    for k in found[np.argsort(-np.abs(errors[found]), kind="stable")][:MAX_NAMED].tolist():
        off = f"hits are {errors[k]:+.3f} standard errors off"
        yield f"{shares.name(k)}: {off}, {_against(bound[k], limit)}"
    if len(found) > MAX_NAMED:
        yield f"{len(found) - MAX_NAMED} more, less far off"


def _against(p_value: float, limit: float) -> str:
    return f"p-value {format_probability(p_value)}, limit {limit:.2g}"
