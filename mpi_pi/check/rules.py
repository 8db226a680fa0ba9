"""Whether a cluster is fit: sentences about what is wrong with its hosts, and what to do.

Of hosts that are alike, each is measured by the others. Pure functions.
"""

import ipaddress
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from mpi_pi.check.hosts import Host
from mpi_pi.formatting import format_some
from mpi_pi.kernel.loader import NOT_EXECUTABLE
from mpi_pi.system import versions
from mpi_pi.system.machine import Machine
from mpi_pi.system.software import Software
from mpi_pi.system.versions import Rule

SLOW = 0.7
"""Below this share of the rate of its twins, or of a core that should be its own, something is wrong."""
LOW_CLOCK = 0.8
"""The same for the clock, which is hardly ever disturbed."""
FAR = 3
"""A link that is so many times slower than the others is worth a look."""
MIN_LATENCY_SECONDS = 1e-4
"""What is quicker is no slow link, whatever the others are."""
MAX_SKEW_SECONDS = 1.0
MAX_NAMES = 8
"""Hosts that a sentence names."""

ALLOW_COMPILING = (
    "let numba compile there (pip install numba in the same environment; NUMBA_DISABLE_JIT unset)"
)
ALLOW_EXECUTION = (
    "allow it there (SELinux: sudo setsebool deny_execmem 0; a systemd unit: MemoryDenyWriteExecute=no; a"
    " container: another seccomp profile)"
)

Severity = Literal["fault", "note"]
Key = TypeVar("Key")


@dataclass(frozen=True)
class Finding:
    """Something that differs between hosts, or looks wrong."""

    severity: Severity
    hosts: tuple[str, ...]
    text: str
    """A sentence that names the hosts and says what to do."""


def findings(hosts: Sequence[Host]) -> list[Finding]:
    """All that is to be said, faults first; of hosts with the same trouble, in one sentence."""
    found = []
    for check in CHECKS:
        said: dict[str, list[_Remark]] = {}
        for remark in check.find(hosts):
            said.setdefault(check.sentence.format(*remark.words), []).append(remark)
        found += [
            Finding(check.severity, tuple(remark.host for remark in alike), f"{_names(alike)}: {sentence}")
            for sentence, alike in said.items()
        ]
    return sorted(found, key=lambda finding: finding.severity != "fault")


def fit(found: Sequence[Finding]) -> bool:
    """Whether the cluster is fit."""
    return all(finding.severity != "fault" for finding in found)


class _Remark(NamedTuple):
    """A host with which something is the matter."""

    host: str
    detail: str = ""
    """In brackets after its name."""
    words: tuple[object, ...] = ()
    """For the blanks in the sentence."""


class _Check(NamedTuple):
    severity: Severity
    find: Callable[[Sequence[Host]], Iterator[_Remark]]
    sentence: str


def _names(remarks: Sequence[_Remark]) -> str:
    names = [f"{remark.host} ({remark.detail})" if remark.detail else remark.host for remark in remarks]
    return format_some(names, MAX_NAMES)


def _unreachable(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if lost := [row.rank for row in host.rows if not row.reachable]:
            yield _Remark(host.name, _numbers("rank", lost), (hosts[0].name,))


def _with_problems(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        for row in host.rows:
            if row.problem:
                yield _Remark(host.name, f"rank {row.rank}", (row.problem,))


def _wrong(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if wrong := [row.rank for row in host.rows if row.right is False]:
            yield _Remark(host.name, _numbers("rank", wrong))


def _of_one_name(hosts: Sequence[Host]) -> Iterator[_Remark]:
    machines = Counter(host.rows[0].host for host in hosts)
    for host in hosts:
        name = host.rows[0].host
        if machines[name] > 1:
            yield _Remark(host.name, "", (machines[name], name))


def _with_versions_that_matter(hosts: Sequence[Host]) -> Iterator[_Remark]:
    return _with_other_versions(hosts, [rule for rule in versions.RULES if rule.matters])


def _with_versions_that_may_differ(hosts: Sequence[Host]) -> Iterator[_Remark]:
    return _with_other_versions(hosts, [rule for rule in versions.RULES if not rule.matters])


def _with_other_versions(hosts: Sequence[Host], rules: Sequence[Rule]) -> Iterator[_Remark]:
    for rule in rules:
        told = {
            host.name: {_version(rule, row.software) for row in host.rows if row.software} - {""}
            for host in hosts
        }
        common = _most_common([version for own in told.values() for version in sorted(own)])
        for name, own in told.items():
            if others := sorted(own - {common}):
                yield _Remark(name, " and ".join(others), (rule.what, common, rule.advice))


def _version(rule: Rule, software: Software) -> str:
    if rule.what == "mpi-pi":
        return f"{software.package}, stream {software.stream}, sources {software.sources}"
    return versions.known(rule.what, getattr(software, rule.key))


def _with_the_numpy_kernel(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        for row in host.rows:
            could = host.machine and host.machine.architecture in ("x86_64", "aarch64", "arm64")
            if row.kernel == "numpy" and could and row.software and row.software.bits == 64:
                warning = row.kernel_warning or "the NumPy kernel counts, slowly"
                forbidden = warning.startswith(NOT_EXECUTABLE)
                yield _Remark(host.name, "", (warning, ALLOW_EXECUTION if forbidden else ALLOW_COMPILING))
                break


def _with_too_many_ranks(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if host.machine and len(host.rows) > host.machine.cpus:
            yield _Remark(host.name, f"{len(host.rows)} on {host.machine.cpus}")


def _with_bound_ranks(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if host.machine and len(host.rows) <= host.machine.cpus and (bound := _bound_together(host)):
            yield _Remark(host.name, bound)


def _bound_together(host: Host) -> str:
    """The ranks that may run on fewer CPUs than they are, and these CPUs; "" if there are none."""
    for cpus in sorted({row.cpus for row in host.rows if row.cpus}, key=len):
        inside = [row.rank for row in host.rows if row.cpus and set(row.cpus) <= set(cpus)]
        if len(inside) > len(cpus):
            return f"{_numbers('rank', inside)} on {_numbers('core', cpus)}"
    return ""


def _with_ranks_in_pairs(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if host.machine and host.machine.cores < len(host.rows) <= host.machine.cpus:
            yield _Remark(host.name, f"{len(host.rows)} on {host.machine.cores}")


def _with_unused_cores(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if host.machine and len(host.rows) < host.machine.cores:
            yield _Remark(host.name, f"{host.machine.cores - len(host.rows)} of {host.machine.cores}")


def _throttled(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if host.throttled_now:
            yield _Remark(host.name, ", ".join(host.throttled_now))


def _throttled_earlier(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if host.throttled_since_boot and not host.throttled_now:
            yield _Remark(host.name, ", ".join(host.throttled_since_boot))


def _with_lower_clocks(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for name, clock in _lower_clocks(hosts).items():
        yield _Remark(name, f"{clock:.0f} MHz")


def _with_half_clocks(hosts: Sequence[Host]) -> Iterator[_Remark]:
    lower = _lower_clocks(hosts)
    for host in hosts:
        clock, most = host.loaded and host.loaded.mhz, host.machine and host.machine.max_mhz
        if clock and most and clock < most / 2 and host.name not in lower:
            yield _Remark(host.name, f"{clock:.0f} of {most:.0f} MHz")


def _lower_clocks(hosts: Sequence[Host]) -> dict[str, float]:
    """Those that are lower than the twins'."""
    clocks = {host.name: host.loaded.mhz for host in hosts if host.loaded and host.loaded.mhz}
    return {name: clocks[name] for name in _below_twins(hosts, clocks, LOW_CLOCK)}


def _starved(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if _is_starved(host):
            yield _Remark(host.name, f"{host.core_share:.0%}", (_how_to_feed(host),))


def _how_to_feed(host: Host) -> str:
    file, cores = (host.machine and host.machine.cpu_quota) or ("", float(len(host.rows)))
    if cores < len(host.rows):
        return f"raise its CPU quota of {cores:.3g} cores ({file}), or give the host fewer slots"
    return "end other programs there (top shows them), or give the host fewer slots"


def _slow(hosts: Sequence[Host]) -> Iterator[_Remark]:
    rates = {host.name: host.points_per_second for host in hosts if host.points_per_second and _is_fair(host)}
    for name, share in _below_twins(hosts, rates, SLOW).items():
        yield _Remark(name, f"{share:.0%}")


def _with_slow_ranks(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        rates = {row.rank: row.points_per_second for row in host.rows if row.points_per_second}
        alike = host.machine and host.machine.cores_alike and len({row.kernel for row in host.rows}) == 1
        for rank, share in _below_others(rates, SLOW).items() if alike and _is_fair(host) else ():
            yield _Remark(host.name, f"rank {rank}: {share:.0%}")


def _is_starved(host: Host) -> bool:
    return not _is_crowded(host) and host.core_share is not None and host.core_share < SLOW


def _is_crowded(host: Host) -> bool:
    too_many = host.machine is not None and len(host.rows) > host.machine.cpus
    return too_many or bool(_bound_together(host))


def _is_fair(host: Host) -> bool:
    """Whether each of its ranks had a core: otherwise its rate says nothing of the cores."""
    return not _is_crowded(host) and not _is_starved(host)


def _with_high_latency(hosts: Sequence[Host]) -> Iterator[_Remark]:
    # Between the first host and rank 0 there is no network.
    latencies = {host.name: host.link.latency_seconds for host in hosts[1:] if host.link}
    quickness = {name: 1 / seconds for name, seconds in latencies.items()}
    for name, share in _below_others(quickness, 1 / FAR).items():
        if latencies[name] > MIN_LATENCY_SECONDS:
            yield _Remark(name, f"{1 / share:.0f} times")


def _with_low_bandwidth(hosts: Sequence[Host]) -> Iterator[_Remark]:
    bandwidths = {host.name: host.link.bytes_per_second for host in hosts[1:] if host.link}
    for name, share in _below_others(bandwidths, 1 / FAR).items():
        yield _Remark(name, f"{share:.0%}")


def _without_link(hosts: Sequence[Host]) -> Iterator[_Remark]:
    if all(host.reachable for host in hosts):
        yield from (_Remark(host.name) for host in hosts[1:] if not host.link)


def _with_other_clock(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if host.link and abs(host.link.skew_seconds) > MAX_SKEW_SECONDS:
            yield _Remark(host.name, f"{host.link.skew_seconds:+.1f} s")


def _with_shared_addresses(hosts: Sequence[Host]) -> Iterator[_Remark]:
    interfaces = [
        (host, name, ipaddress.IPv4Interface(address))
        for host in hosts
        for name, address in (host.machine.interfaces if host.machine else ())
    ]
    owners = Counter(interface.ip for _, _, interface in interfaces)
    proper = [name for host, name, interface in interfaces if str(interface.ip) == host.address]
    for host, name, interface in interfaces:
        if owners[interface.ip] > 1:
            yield _Remark(host.name, f"{name} {interface.ip}", (proper[0],))


def _of_another_kind(hosts: Sequence[Host]) -> Iterator[_Remark]:
    kinds = {host.name: _kind(host.machine) for host in hosts if host.machine}
    common = _most_common(list(kinds.values()))
    for name, kind in kinds.items():
        if kind != common:
            yield _Remark(name, kind, (common,))


def _with_other_flags(hosts: Sequence[Host]) -> Iterator[_Remark]:
    flags: dict[str, dict[str, str]] = {}
    for host in hosts:
        if host.machine:
            flags.setdefault(_kind(host.machine), {})[host.name] = " ".join(host.machine.flags) or "none"
    for of_twins in flags.values():
        common = _most_common(list(of_twins.values()))
        for name, own in of_twins.items():
            if own != common:
                yield _Remark(name, own, (common,))


def _of_32_bits(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        if any(row.software and row.software.bits == 32 for row in host.rows):
            yield _Remark(host.name)


def _without_cache(hosts: Sequence[Host]) -> Iterator[_Remark]:
    for host in hosts:
        for warning in sorted({row.kernel_warning for row in host.rows if row.kernel == "numba"} - {""}):
            yield _Remark(host.name, "", (warning,))


CHECKS = (
    _Check(
        "fault",
        _unreachable,
        "no answer to rank 0 on {}: see that the host is on and its cable plugged in, that no firewall is"
        " between hosts, and that MPI uses the network which they have in common; make check-hosts looks"
        " without MPI",
    ),
    _Check("fault", _with_problems, "{}; put that right and check again"),
    _Check(
        "fault",
        _wrong,
        "the known answers are counted wrong, so nothing that is counted there can be trusted: delete the"
        " cache of compiled code (/var/tmp/mpi-pi-UID or --cache), check again, and if it stays so test the"
        " memory",
    ),
    _Check(
        "fault",
        _of_one_name,
        "{} machines are called {}, and MPI may take them for one: give each a name of its own (sudo"
        " hostnamectl set-hostname NAME)",
    ),
    _Check(
        "fault",
        _with_versions_that_matter,
        "another {} than on most hosts, {}: {}, which make deploy sees to",
    ),
    _Check(
        "fault",
        _with_the_numpy_kernel,
        "{}: {}",
    ),
    _Check(
        "fault",
        _with_too_many_ranks,
        "more ranks than cores, which have to take turns: start fewer (-n), or give the host no more slots"
        " than it has cores",
    ),
    _Check(
        "fault",
        _with_bound_ranks,
        "several ranks are bound to one core while others are free: give each a core of its own (mpirun"
        " --bind-to core, srun --cpu-bind=cores), or bind none (mpirun --bind-to none)",
    ),
    _Check(
        "fault",
        _throttled,
        "the CPU is slowed down while it counts: against under-voltage a stronger power supply or a shorter"
        " cable helps, against all else a heat sink, a fan or cooler air",
    ),
    _Check(
        "fault",
        _with_lower_clocks,
        "a lower clock than that of its twins while it counts: see to cooling, power supply and the"
        " governor (/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)",
    ),
    _Check(
        "fault",
        _starved,
        "a rank gets only this share of a core: {}",
    ),
    _Check(
        "fault",
        _slow,
        "only this share of the rate of its twins, with its cores to itself: see to cooling, power supply"
        " and clock",
    ),
    _Check(
        "fault",
        _with_slow_ranks,
        "only this share of the rate of the host's other ranks: its core is slowed down by heat, or shared"
        " with something else by hyper-threading",
    ),
    _Check(
        "note",
        _throttled_earlier,
        "the CPU has been slowed down since it was switched on, though not now: a longer run may be, too;"
        " see to power supply and cooling",
    ),
    _Check(
        "note",
        _with_half_clocks,
        "less than half of its highest clock while it counts: see to the governor"
        " (/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)",
    ),
    _Check(
        "note",
        _with_ranks_in_pairs,
        "ranks share cores in pairs, by hyper-threading: as many ranks as cores may count as fast",
    ),
    _Check(
        "note",
        _with_unused_cores,
        "cores without a rank: right if they are left to the system or to others; otherwise give the host"
        " more slots",
    ),
    _Check(
        "note",
        _with_high_latency,
        "so many times the latency of the other hosts to rank 0: see whether it is on Wi-Fi, or behind"
        " another switch",
    ),
    _Check(
        "note",
        _with_low_bandwidth,
        "only this share of the other hosts' bandwidth to rank 0: see whether it is on Wi-Fi, and to its"
        " cable and switch",
    ),
    _Check("note", _without_link, "the link was not measured: all together took too long; check fewer hosts"),
    _Check(
        "note",
        _with_other_clock,
        "the clock differs from rank 0's: neither answer nor times depend on it, but file times do; where"
        " there is a time server, sudo timedatectl set-ntp true sets it",
    ),
    _Check(
        "note",
        _with_shared_addresses,
        "other hosts have this address, too, and MPI may hang in trying it: tell it which network to use"
        " (Open MPI: export OMPI_MCA_btl_tcp_if_include={0}; MPICH: export UCX_NET_DEVICES={0})",
    ),
    _Check("note", _with_versions_that_may_differ, "another {} than on most hosts, {}, {}"),
    _Check(
        "note",
        _of_another_kind,
        "another kind of machine than most, {}: the hits are the same, and shares follow speed; nothing is"
        " to be done",
    ),
    _Check(
        "note",
        _with_other_flags,
        "other CPU flags than its twins, {}: see to the settings of its firmware, or of its virtual machine",
    ),
    _Check(
        "note",
        _of_32_bits,
        "a 32-bit system, for which there is no numba: the hits are the same, but a 64-bit system counts"
        " many times as fast",
    ),
    _Check("note", _without_cache, "{}; without a cache every rank compiles for itself each time"),
)
"""What is looked for, and what is said of the hosts found."""


def _kind(machine: Machine) -> str:
    """Equal for machines that are alike: a board's revision does not matter."""
    return f"{re.sub(r' Rev [0-9.]+$', '', machine.cpu)}, {machine.architecture}"


def _below_twins(hosts: Sequence[Host], values: Mapping[str, float], share: float) -> dict[str, float]:
    """Hosts with less than that share of the median of the others that are alike; and their shares."""
    twins: dict[object, dict[str, float]] = {}
    for host in hosts:
        if host.machine and host.name in values:
            kernels = frozenset(row.kernel for row in host.rows)
            alike = twins.setdefault((_kind(host.machine), len(host.rows), kernels), {})
            alike[host.name] = values[host.name]
    return {name: low for alike in twins.values() for name, low in _below_others(alike, share).items()}


def _below_others(values: Mapping[Key, float], share: float) -> dict[Key, float]:
    """Those with less than that share of the median of the others; and their shares."""
    below = {}
    ordered = sorted(values.values())  # which is quick to sort again
    for key, value in values.items():
        others = ordered.copy()
        others.remove(value)
        if others and value < share * (median := statistics.median(others)):
            below[key] = value / median
    return below


def _most_common(values: Sequence[str]) -> str:
    """The first of those that are there most often."""
    return Counter(values).most_common(1)[0][0] if values else ""


def _numbers(thing: str, numbers: Sequence[int]) -> str:
    """In words: rank 3; ranks 1-4, 7."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    listed = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
    return f"{thing}{'s' if len(numbers) > 1 else ''} {listed}"
