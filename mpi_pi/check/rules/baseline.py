"""Rules on what has become worse, or other, since an earlier check of the same hosts."""

from collections.abc import Iterator, Sequence

from mpi_pi.check.changes import (
    BANDWIDTH,
    CLOCK,
    LATENCY,
    RATE,
    Baseline,
    Change,
    Metric,
    changes,
    kernels,
    measured_alike,
    pairs,
    same_root,
)
from mpi_pi.check.hosts import Host
from mpi_pi.check.rules.comparison import kind, most_common
from mpi_pi.check.rules.network import SLOW
from mpi_pi.check.rules.software import version_of
from mpi_pi.findings import Observation, fault, note
from mpi_pi.system import versions
from mpi_pi.system.machine import Machine

MIN_LIMIT_SHARE = 0.99
MIN_MEMORY_SHARE = 0.98
"""Share of the memory that is no change: how much Linux keeps for itself depends on its version."""


@fault(
    "slower than {}: see to cooling, power supply and the limits of the clock, and to other programs on the"
    " same cores"
)
def lower_rate(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts that count slower, for each second of CPU time."""
    for change in _worse(RATE, hosts, baseline):
        scale, unit = (1e9, "thousand million") if change.then >= 1e9 else (1e6, "million")
        rates = f"{change.now / scale:.3g} of {change.then / scale:.3g}"
        yield Observation(change.host, f"{rates} {unit} points/s of CPU time", (baseline.when,))


@fault("a lower clock than {} while it counts: see to cooling, power supply and the limits of the clock")
def lower_clock(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts with a lower clock."""
    for change in _worse(CLOCK, hosts, baseline):
        yield Observation(change.host, f"{change.now:.0f} of {change.then:.0f} MHz", (baseline.when,))


@fault("a higher latency to rank 0 than {}: see whether it is on Wi-Fi, or behind another switch")
def higher_latency(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts with a slower link to rank 0."""
    for change in _worse(LATENCY, hosts, baseline):
        yield Observation(change.host, f"{change.now:.0f} after {change.then:.0f} us", (baseline.when,))


@fault("a lower bandwidth to rank 0 than {}: see to its cable and switch, and whether it is on Wi-Fi")
def lower_bandwidth(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts with a link of lower bandwidth to rank 0."""
    for change in _worse(BANDWIDTH, hosts, baseline):
        yield Observation(change.host, f"{change.now:.3g} of {change.then:.3g} MB/s", (baseline.when,))


@note(
    "a slower link to rank 0 than {}, but too busy to judge it, since messages wait for a core: check again"
    " when other programs have ended"
)
def busy_link(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts whose messages may only have waited for a core that others use."""
    links = [change for change in changes(hosts, baseline) if change.metric in (LATENCY, BANDWIDTH)]
    for change in links if same_root(hosts, baseline) else ():
        if change.bound is None and change.times < 1 / SLOW and change.host != hosts[0].name:
            now, before = (format(value, change.metric.form) for value in (change.now, change.then))
            yield Observation(change.host, f"{change.metric.name} {now} after {before}", (baseline.when,))


def _worse(metric: Metric, hosts: Sequence[Host], baseline: Baseline) -> list[Change]:
    return [change for change in changes(hosts, baseline) if change.metric is metric and change.is_fault]


@fault("its clock is limited more than {}: see to {}, and to the settings of its firmware")
def lower_limits(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts whose clock may not rise as high as before."""
    for then, now in pairs(hosts, baseline):
        if then.machine and now.machine:
            for change, file in _lower_limits(then.machine, now.machine):
                yield Observation(now.name, change, (baseline.when, f"/sys/devices/system/cpu/{file}"))


def _lower_limits(then: Machine, now: Machine) -> Iterator[tuple[str, str]]:
    """Generate each limit that is lower now, and the file that sets it."""
    if now.governor and then.governor and _eagerness(now.governor) < _eagerness(then.governor):
        yield f"governor {now.governor}, not {then.governor}", "cpu0/cpufreq/scaling_governor"
    if then.turbo and now.turbo is False:
        yield "no turbo", "intel_pstate/no_turbo or cpufreq/boost"
    if now.limit_mhz and then.limit_mhz and now.limit_mhz < MIN_LIMIT_SHARE * then.limit_mhz:
        yield f"{now.limit_mhz:.0f}, not {then.limit_mhz:.0f} MHz", "cpu0/cpufreq/scaling_max_freq"


def _eagerness(governors: str) -> int:
    """Return how high governors let the clock rise: that of the laziest, if there are several."""
    return min({"performance": 2, "powersave": 0}.get(name, 1) for name in governors.split("/"))


@note("not in the baseline: make a new one (mpi-pi check --json FILE) once all hosts are well")
def new_host(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts that the baseline does not have."""
    known = {host.name for host in baseline.hosts}
    return (Observation(host.name) for host in hosts if host.name not in known)


@note("in the baseline, but not among the hosts of this job: see whether the hostfile has to have it")
def missing_host(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts that only the baseline has."""
    here = {host.name for host in hosts}
    return (Observation(host.name) for host in baseline.hosts if host.name not in here)


@note("another {} than {}, {}: if a rate has changed, that may be why")
def changed_software(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts with other versions, of those that are known: without numba, another rule finds a host."""
    for then, now in pairs(hosts, baseline):
        for component, key in (versions.MUST_MATCH | versions.MAY_DIFFER).items():
            before, after = (_version(component, key, host) for host in (then, now))
            if before and after and before != after:
                yield Observation(now.name, after, (component, baseline.when, before))


def _version(component: str, key: str, host: Host) -> str:
    found = [version_of(component, key, rank.software) for rank in host.ranks if rank.software]
    return most_common([version for version in found if version])


@note("other hardware than {}: see that no core or memory is lost")
def changed_hardware(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts with another CPU, or another number of cores or size of memory."""
    for then, now in pairs(hosts, baseline):
        if then.machine and now.machine:
            for change in _hardware_changes(then.machine, now.machine):
                yield Observation(now.name, change, (baseline.when,))


def _hardware_changes(then: Machine, now: Machine) -> Iterator[str]:
    if kind(now) != kind(then):
        yield f"{kind(now)}, not {kind(then)}"
    for thing, member in (("cores", "cores"), ("hardware threads", "cpus")):
        if (after := getattr(now, member)) != (before := getattr(then, member)):
            yield f"{after} {thing}, not {before}"
    before, after = then.memory_bytes, now.memory_bytes
    if before and after and not MIN_MEMORY_SHARE < after / before < 1 / MIN_MEMORY_SHARE:
        yield f"{after / 1e9:.3g} GB of memory, not {before / 1e9:.3g}"


@note("not as many ranks as {}, or another kernel: its rates cannot be compared")
def other_ranks(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find hosts whose rates were measured otherwise."""
    for then, now in pairs(hosts, baseline):
        if not measured_alike(then, now):
            was, is_ = (f"{len(host.ranks)} with {'/'.join(sorted(kernels(host)))}" for host in (then, now))
            yield Observation(now.name, f"{is_}, not {was}", (baseline.when,))


@note("rank 0 was on {} {}: links cannot be compared; list the hosts in the same order")
def other_root(hosts: Sequence[Host], baseline: Baseline) -> Iterator[Observation]:
    """Find the host of rank 0, if that was another one."""
    if not same_root(hosts, baseline):
        yield Observation(hosts[0].name, "", (baseline.hosts[0].name, baseline.when))


RULES = (
    lower_rate, lower_clock, lower_limits, higher_latency, lower_bandwidth, busy_link,
    changed_hardware, changed_software, new_host, missing_host, other_ranks, other_root,
)  # fmt: skip
"""All rules, in the order in which their findings are reported."""
