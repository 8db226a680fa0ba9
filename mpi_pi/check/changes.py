"""Measured changes of hosts since an earlier check, the baseline, and the bounds of what noise explains.

The bounds are ratios, so that they hold for fast and slow machines. Where they come from: in checks one after
the other, on a virtual machine with two cores, the rate for CPU time was between 84 % and 100 % of the
highest, and with two to four more processes at work on these cores between 75 % and 97 %, while the rate for
wall time fell to 15 %. Latency and bandwidth through TCP varied by a factor of 2.9 on idle cores; on shared
ones they say nothing, since a message then waits until its receiver gets a core: the median latency was more
than a hundred times as high.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mpi_pi.check.hosts import Host
from mpi_pi.check.rules.network import MIN_LATENCY_SECONDS, SLOW
from mpi_pi.check.rules.speed import MIN_CLOCK_SHARE, MIN_SHARE

MIN_SHARED_SHARE = 0.5
"""As `MIN_SHARE`, if ranks had to share cores that have several hardware threads, which slow each other."""
MIN_OWN_CORE = 0.9
"""Core share of ranks from which on their host is idle enough to judge its link."""
MIN_LATENCY_US = 1e6 * MIN_LATENCY_SECONDS


class Baseline(NamedTuple):
    """An earlier check."""

    date: str
    """In UTC, such as 2026-11-20T14:00:00+00:00; "" if it is not known."""
    hosts: tuple[Host, ...]

    @property
    def when(self) -> str:
        """When it was, as part of a sentence."""
        return f"on {self.date[:10]}" if self.date else "in the baseline"


class Metric(NamedTuple):
    """A measured quantity of a host."""

    name: str
    """With its unit."""
    form: str
    """Format of its numbers in tables."""
    more_is_better: bool
    value: Callable[[Host], float | None]


class Change(NamedTuple):
    """The values of a metric of a host, then and now."""

    host: str
    metric: Metric
    then: float
    now: float
    bound: float | None
    """Lowest `times` that noise explains; None if it cannot be judged."""

    @property
    def times(self) -> float:
        """How many times as good as then it is now."""
        return self.now / self.then if self.metric.more_is_better else self.then / self.now

    @property
    def is_fault(self) -> bool:
        """Whether it became worse beyond noise."""
        negligible = self.metric is LATENCY and self.now < MIN_LATENCY_US
        return self.bound is not None and self.times < self.bound and not negligible


RATE = Metric("points/s of CPU time", ".3e", True, lambda host: host.points_per_cpu_second)
CLOCK = Metric("MHz", ".0f", True, lambda host: host.loaded.mhz if host.loaded else None)
LATENCY = Metric(
    "latency/us", ".1f", False, lambda host: 1e6 * host.link.latency_seconds if host.link else None
)
BANDWIDTH = Metric("MB/s", ".1f", True, lambda host: host.link.bytes_per_second / 1e6 if host.link else None)


def pairs(hosts: Sequence[Host], baseline: Baseline) -> list[tuple[Host, Host]]:
    """Return each host that is in both checks, as it was then and as it is now."""
    then = {host.name: host for host in baseline.hosts}
    return [(then[host.name], host) for host in hosts if host.name in then]


def changes(hosts: Sequence[Host], baseline: Baseline) -> list[Change]:
    """Return the changes of hosts that are in both checks, the worst first."""
    found = []
    for then, now in pairs(hosts, baseline):
        link = _link_bound(hosts, baseline, now)
        bounds = {RATE: _rate_bound(then, now), CLOCK: MIN_CLOCK_SHARE, LATENCY: link, BANDWIDTH: link}
        for metric, bound in bounds.items():
            before, after = metric.value(then), metric.value(now)
            if before and after and min(before, after) > 0:
                found.append(Change(now.name, metric, before, after, bound))
    return sorted(found, key=lambda change: change.times)


def measured_alike(then: Host, now: Host) -> bool:
    """Return whether rates can be compared: with other ranks, each has more or less of the host."""
    return len(then.ranks) == len(now.ranks) and kernels(then) == kernels(now)


def same_root(hosts: Sequence[Host], baseline: Baseline) -> bool:
    """Return whether links can be compared, which are those to the host of rank 0."""
    return hosts[0].name == baseline.hosts[0].name


def _rate_bound(then: Host, now: Host) -> float | None:
    if not measured_alike(then, now):
        return None
    threads_share_cores = now.machine is not None and now.machine.cpus > now.machine.cores
    return MIN_SHARED_SHARE if threads_share_cores and _core_share(now) < MIN_SHARE else MIN_SHARE


def _link_bound(hosts: Sequence[Host], baseline: Baseline, now: Host) -> float | None:
    root = hosts[0]
    idle = min(_core_share(root), _core_share(now)) >= MIN_OWN_CORE
    # The host of rank 0 has no link through the network.
    return 1 / SLOW if idle and now.name != root.name and same_root(hosts, baseline) else None


def _core_share(host: Host) -> float:
    return 1.0 if host.core_share is None else host.core_share


def kernels(host: Host) -> set[str]:
    """Return the kernels of its ranks."""
    return {rank.kernel for rank in host.ranks}
