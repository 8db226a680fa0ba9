"""Rules on what the ranks run: failures, wrong answers, versions, compilers, kinds of machines."""

from collections.abc import Iterator, Mapping, Sequence

from mpi_pi.check.hosts import Host
from mpi_pi.check.rules.comparison import kind, most_common, numbers
from mpi_pi.findings import Observation, fault, note
from mpi_pi.kernel.loader import NOT_EXECUTABLE
from mpi_pi.system import versions
from mpi_pi.system.software import Software

ALLOW_COMPILING = (
    "let numba compile there (pip install numba in the same environment; NUMBA_DISABLE_JIT unset)"
)
ALLOW_EXECUTION = (
    "allow it there (SELinux: sudo setsebool deny_execmem 0; a systemd unit: MemoryDenyWriteExecute=no; a"
    " container: another seccomp profile)"
)


@fault("{}; put that right and check again")
def failed(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find ranks on which a probe failed."""
    for host in hosts:
        for rank in host.ranks:
            if rank.problem:
                yield Observation(host.name, f"rank {rank.rank}", (rank.problem,))


@fault(
    "the known answers are counted wrong, so nothing that is counted there can be trusted: delete the cache"
    " of compiled code (/var/tmp/mpi-pi-UID or --cache), check again, and if it stays so test the memory"
)
def wrong_answer(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find ranks whose kernel failed its self-test."""
    for host in hosts:
        if wrong := [rank.rank for rank in host.ranks if rank.right is False]:
            yield Observation(host.name, numbers("rank", wrong))


@fault(f"another {{}} than on most hosts, {{}}: {versions.THE_SAME}, which make deploy sees to")
def other_version(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find versions that must not differ, and do."""
    return _other_versions(hosts, versions.MUST_MATCH)


@note(f"another {{}} than on most hosts, {{}}, {versions.NO_OBSTACLE}")
def other_minor_version(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find versions that may differ, and do."""
    return _other_versions(hosts, versions.MAY_DIFFER)


def _other_versions(hosts: Sequence[Host], keys: Mapping[str, str]) -> Iterator[Observation]:
    for component, key in keys.items():
        found = {
            host.name: {version_of(component, key, rank.software) for rank in host.ranks if rank.software}
            - {""}
            for host in hosts
        }
        common = most_common([version for own in found.values() for version in sorted(own)])
        for name, own in found.items():
            if others := sorted(own - {common}):
                yield Observation(name, " and ".join(others), (component, common))


def version_of(component: str, key: str, software: Software) -> str:
    """Return a version as it is compared; "" if it is not known, or not installed."""
    if component == "mpi-pi":
        return f"{software.package}, stream {software.stream}, sources {software.sources}"
    return versions.known(component, getattr(software, key))


@fault("{}: {}")
def numpy_kernel(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts that count with NumPy although numba has wheels for them."""
    for host in hosts:
        for rank in host.ranks:
            could = host.machine and host.machine.architecture in ("x86_64", "aarch64", "arm64")
            if rank.kernel == "numpy" and could and rank.software and rank.software.bits == 64:
                warning = rank.kernel_warning or "the NumPy kernel counts, slowly"
                forbidden = warning.startswith(NOT_EXECUTABLE)
                remedy = ALLOW_EXECUTION if forbidden else ALLOW_COMPILING
                yield Observation(host.name, "", (warning, remedy))
                break


@note("{}; without a cache every rank compiles for itself each time")
def no_cache(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts without a cache of compiled code."""
    for host in hosts:
        for warning in sorted({rank.kernel_warning for rank in host.ranks if rank.kernel == "numba"} - {""}):
            yield Observation(host.name, "", (warning,))


@note(
    "another kind of machine than most, {}: the hits are the same, and shares follow speed; nothing is to be"
    " done"
)
def other_machine(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find machines of a kind that most others are not."""
    kinds = {host.name: kind(host.machine) for host in hosts if host.machine}
    common = most_common(list(kinds.values()))
    return (Observation(name, own, (common,)) for name, own in kinds.items() if own != common)


@note("other CPU flags than its twins, {}: see to the settings of its firmware, or of its virtual machine")
def other_flags(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts without the CPU flags of most machines of their kind."""
    flags: dict[str, dict[str, str]] = {}
    for host in hosts:
        if host.machine:
            flags.setdefault(kind(host.machine), {})[host.name] = " ".join(host.machine.flags) or "none"
    for of_twins in flags.values():
        common = most_common(list(of_twins.values()))
        yield from (Observation(name, own, (common,)) for name, own in of_twins.items() if own != common)


@note(
    "a 32-bit system, for which there is no numba: the hits are the same, but a 64-bit system counts many"
    " times as fast"
)
def is_32_bit(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts with a 32-bit Python."""
    for host in hosts:
        if any(rank.software and rank.software.bits == 32 for rank in host.ranks):
            yield Observation(host.name)
