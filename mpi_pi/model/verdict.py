"""Criteria of a credible result, which fewer than one in a million correct runs fail.

That probability is divided among the criteria, however many a run has:

    distance from pi            2e-7 on either side                                      4e-7
    dispersion of the units     1e-7 on either side                                      2e-7
    goodness of fit             p-value 5e-8, below which 1.8e-7 of correct runs are in
                                the worst case, units of 2 points: see `goodness`        2e-7
    hits of each of R ranks     1e-7 / R, both sides together                            1e-7
    hits of each of H hosts     1e-7 / H, both sides together                            1e-7

The sum holds also for criteria that depend on each other (Bonferroni). All but the third use upper bounds of
probabilities, valid for any number of points and units: `binomial.tail` and `dispersion`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mpi_pi.model import binomial
from mpi_pi.model.binomial import Floats
from mpi_pi.model.estimate import Estimate

if TYPE_CHECKING:
    from mpi_pi.model.audit import Unsettled
    from mpi_pi.model.result import RankStats

DISTANCE = 2e-7
DISPERSION = 1e-7
FIT = 5e-8
RANKS = HOSTS = 1e-7

MAX_NAMED = 10
"""Ranks and hosts that are named one by one."""


class GroupHits(NamedTuple):
    """Points and hits of each rank, or of each host."""

    name: Callable[[int], str]
    """Returns the name of the group with an index."""
    points: Floats
    """Shape (groups,)."""
    hits: Floats
    """Shape (groups,)."""

    def farthest(self) -> tuple[str, float]:
        """Return the group whose hits deviate most from their mean: its name and signed standard errors."""
        errors = binomial.standard_errors(self.points, self.hits)
        worst = int(np.abs(errors).argmax())
        return self.name(worst), float(errors[worst])


def group_hits(ranks: Sequence["RankStats"]) -> tuple[GroupHits, GroupHits]:
    """Return points and hits of each rank in this run, and of each host."""
    points = np.fromiter((rank.points for rank in ranks), np.float64, len(ranks))
    hits = np.fromiter((rank.hits for rank in ranks), np.float64, len(ranks))
    indices: dict[str, int] = {}
    host = [indices.setdefault(rank.info.host, len(indices)) for rank in ranks]
    names, by_host = list(indices), [np.bincount(host, of_rank) for of_rank in (points, hits)]
    return (
        GroupHits(lambda k: _name(ranks[k]), points, hits),
        GroupHits(lambda k: f"host {names[k]}", *(np.asarray(sums, np.float64) for sums in by_host)),
    )


def _name(rank: "RankStats") -> str:
    return f"rank {rank.rank} on host {rank.info.host}"


def reasons(estimate: Estimate) -> list[str]:
    """Return the criteria that an estimate fails, as text for the user; empty if it passes all."""
    found = []
    if estimate.distance_bound < DISTANCE:
        distance = f"{estimate.standard_errors:+.3f} standard errors"
        found.append(f"distance from pi: {distance}, {_against(estimate.distance_bound, DISTANCE)}")
    bound, fit = estimate.dispersion_bound, estimate.fit
    if bound is not None and bound < DISPERSION:
        how = "differ too much" if estimate.chi_squared > estimate.units else "are too much alike"
        found.append(f"dispersion: units {how}, {_against(bound, DISPERSION)}")
    if fit and fit.p_value < FIT:
        found.append(f"goodness of fit: hits of units are not binomial, {_against(fit.p_value, FIT)}")
    return found


def suspects(ranks: Sequence["RankStats"]) -> tuple[str, ...]:
    """Return the ranks and hosts whose hits deviate too much, as text for the user.

    A single rank or host is not judged, because the estimate is; nor are hosts of one rank each.
    """
    if len(ranks) == 1:
        return ()
    by_rank, by_host = group_hits(ranks)
    several = 1 < len(by_host.points) < len(ranks)
    return (*_outliers(by_rank, RANKS), *(_outliers(by_host, HOSTS) if several else ()))


def with_wrong_kernel(ranks: Sequence["RankStats"]) -> list[str]:
    """Return the names of ranks whose kernels failed the self-test: the first few, and how many more."""
    names = [_name(rank) for rank in ranks if not rank.kernel_right]
    more = [f"{len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return names[:MAX_NAMED] + more


def on_unsettled(unsettled: "Unsettled") -> str:
    """Return a dispute that nobody can settle, as text for the user."""
    opinions = [f"rank {each.rank} on host {each.host}: {each.hits} hits" for each in unsettled.opinions]
    return f"audit: nobody can tell which of these is wrong on unit {unsettled.unit}: {', '.join(opinions)}"


def _outliers(groups: GroupHits, level: float) -> Iterator[str]:
    """Yield the groups that deviate too much, worst first; a correct run has any with probability `level`."""
    points, limit = groups.points, level / (2 * len(groups.points))
    errors = binomial.standard_errors(points, groups.hits)
    far = np.flatnonzero(np.abs(errors) > 2)  # smaller deviations are common
    bounds = binomial.tail(points[far], groups.hits[far] - points[far] * binomial.P)
    found = far[bounds < limit]
    bound = dict(zip(far.tolist(), bounds.tolist(), strict=True))
    for k in found[np.argsort(-np.abs(errors[found]), kind="stable")][:MAX_NAMED].tolist():
        deviation = f"hits are {errors[k]:+.3f} standard errors off"
        yield f"{groups.name(k)}: {deviation}, {_against(bound[k], limit)}"
    if len(found) > MAX_NAMED:
        yield f"{len(found) - MAX_NAMED} more, less far off"


def _against(p_value: float, limit: float) -> str:
    return f"p-value {max(p_value, 1e-300):.4g}, limit {limit:.2g}"  # near where doubles end
