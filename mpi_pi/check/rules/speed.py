"""Rules on how fast hosts and ranks count: throttling, clocks, shares of cores, rates."""

from collections.abc import Iterator, Sequence

from mpi_pi.check.hosts import Host
from mpi_pi.check.rules.comparison import below_others, below_twins
from mpi_pi.check.rules.placement import is_oversubscribed
from mpi_pi.findings import Observation, fault, note

MIN_SHARE = 0.7
"""Smallest share of the rate of the twins, or of a core of its own, that is no fault."""
MIN_CLOCK_SHARE = 0.8
"""Smallest share of the clock of the twins that is no fault; clocks vary less than rates."""


@fault(
    "the CPU is slowed down while it counts: against under-voltage a stronger power supply or a shorter cable"
    " helps, against all else a heat sink, a fan or cooler air"
)
def throttled(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts that are throttled now."""
    for host in hosts:
        if host.throttled_now:
            yield Observation(host.name, ", ".join(host.throttled_now))


@note(
    "the CPU has been slowed down since it was switched on, though not now: a longer run may be, too; see to"
    " power supply and cooling"
)
def throttled_earlier(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts that were throttled, and are not now."""
    for host in hosts:
        if host.throttled_since_boot and not host.throttled_now:
            yield Observation(host.name, ", ".join(host.throttled_since_boot))


@fault(
    "a lower clock than that of its twins while it counts: see to cooling, power supply and the governor"
    " (/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)"
)
def lower_clock(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts with a clock below that of their twins."""
    return (Observation(name, f"{clock:.0f} MHz") for name, clock in _lower_clocks(hosts).items())


@note(
    "less than half of its highest clock while it counts: see to the governor"
    " (/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)"
)
def half_clock(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts below half of their highest clock, unless `lower_clock` finds them."""
    lower = _lower_clocks(hosts)
    for host in hosts:
        clock, most = host.loaded and host.loaded.mhz, host.machine and host.machine.max_mhz
        if clock and most and clock < most / 2 and host.name not in lower:
            yield Observation(host.name, f"{clock:.0f} of {most:.0f} MHz")


def _lower_clocks(hosts: Sequence[Host]) -> dict[str, float]:
    """Return clocks in MHz, by host, that are lower than those of the twins."""
    clocks = {host.name: host.loaded.mhz for host in hosts if host.loaded and host.loaded.mhz}
    return {name: clocks[name] for name in below_twins(hosts, clocks, MIN_CLOCK_SHARE)}


@fault("a rank gets only this share of a core: {}, or give the host fewer slots")
def starved(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts where other processes or a quota take CPU time from the ranks."""
    for host in hosts:
        if _is_starved(host):
            quota = host.machine and host.machine.cpu_quota
            remedy = "end other programs there (top shows them)"
            if quota and quota[1] < len(host.ranks):
                remedy = f"raise its CPU quota of {quota[1]:.3g} cores ({quota[0]})"
            yield Observation(host.name, f"{host.core_share:.0%}", (remedy,))


def _is_starved(host: Host) -> bool:
    return not is_oversubscribed(host) and host.core_share is not None and host.core_share < MIN_SHARE


def _has_own_cores(host: Host) -> bool:
    """Return whether each rank had a core: otherwise its rate says nothing of the cores."""
    return not is_oversubscribed(host) and not _is_starved(host)


@fault(
    "only this share of the rate of its twins, with its cores to itself: see to cooling, power supply and"
    " clock"
)
def slow_host(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts that count slower than their twins."""
    rates = {
        host.name: host.points_per_second for host in hosts if host.points_per_second and _has_own_cores(host)
    }
    shares = below_twins(hosts, rates, MIN_SHARE)
    return (Observation(name, f"{share:.0%}") for name, share in shares.items())


@fault(
    "only this share of the rate of the host's other ranks: its core is slowed down by heat, or shared with"
    " something else by hyper-threading"
)
def slow_rank(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find ranks that count slower than the others on a host with equal cores."""
    for host in hosts:
        rates = {rank.rank: rank.points_per_second for rank in host.ranks if rank.points_per_second}
        alike = host.machine and host.machine.cores_alike and len({rank.kernel for rank in host.ranks}) == 1
        for rank, share in below_others(rates, MIN_SHARE).items() if alike and _has_own_cores(host) else ():
            yield Observation(host.name, f"rank {rank}: {share:.0%}")
