"""Hardware and present state of this host, as Linux reports them. None stands for what it does not report.

Files are read below `root`, which can hold copies from other machines.
"""

import fcntl
import ipaddress
import os
import re
import shutil
import socket
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mpi_pi.system import clock, command, sysfs
from mpi_pi.system.affinity import physical_cores
from mpi_pi.system.cpu import cpu_model, cpuinfo
from mpi_pi.system.process import boot_id

FLAGS = ("avx512f", "avx512bw", "avx512dq", "avx2", "sse4_2", "asimd", "sve", "neon")
"""CPU features that the kernel can be compiled for. Every 64-bit ARM has asimd, called neon on 32-bit ARM."""

THROTTLING = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
"""Meaning of the lowest bits of a Raspberry Pi's firmware, for the present."""
SINCE_BOOT_SHIFT = 16
"""Distance of the bits with these meanings for the time since boot."""

_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B  # netdevice(7)


@dataclass(frozen=True)
class Machine:
    """Properties that do not change until the next boot."""

    boot_id: str | None
    """Random number of the boot, which tells machines of one name apart."""
    architecture: str
    cpu: str
    flags: tuple[str, ...]
    """Those of `FLAGS` that the CPU has."""
    cores: int
    cpus: int
    """Hardware threads."""
    cores_alike: bool
    max_mhz: float | None
    interfaces: tuple[tuple[str, str], ...]
    """Name and IPv4 address with prefix length, such as 192.168.1.101/24; without the loopback."""
    cpu_quota: tuple[str, float] | None = None
    """The file that sets the lowest quota of a cgroup, and the quota in cores; see cgroups(7)."""
    memory_bytes: int | None = None
    """Memory that Linux can use."""
    governor: str | None = None
    """The governor of the clock, such as performance; `a/b` if CPUs have several."""
    turbo: bool | None = None
    """Whether clocks above the nominal one are allowed."""
    limit_mhz: float | None = None
    """Lowest limit of the clock that is set for a CPU, see admin-guide/pm/cpufreq."""


@dataclass(frozen=True)
class State:
    """State at one moment."""

    mhz: float | None
    """Clock of the fastest core."""
    celsius: float | None
    throttling: int | None
    """Bits of a Raspberry Pi's firmware, see `THROTTLING`."""
    throttle_events: int | None
    """Number of times that an x86 CPU has lowered its clock because of heat since boot."""


def machine(root: Path = Path("/")) -> Machine:
    """Return the properties of this machine."""
    cpus = online(root)
    clocks, limits = (sysfs.of_each_cpu(root, f"cpufreq/{name}_max_freq") for name in ("cpuinfo", "scaling"))
    features = next((value for name, value in cpuinfo(root) if name in ("flags", "Features")), "").split()
    return Machine(
        boot_id=boot_id(root) or None,
        architecture=os.uname().machine,
        cpu=cpu_model(root),
        flags=tuple(flag for flag in FLAGS if flag in features),
        cores=len(physical_cores(cpus, root)),
        cpus=len(cpus),
        cores_alike=_alike(cpus, clocks, root),
        max_mhz=max(clocks) / 1e3 if clocks else None,
        interfaces=_interfaces(),
        cpu_quota=_cpu_quota(root),
        memory_bytes=_memory_bytes(root),
        governor=_governor(root),
        turbo=_turbo(root),
        limit_mhz=min(limits) / 1e3 if limits else None,
    )


def state(root: Path = Path("/")) -> State:
    """Return the present state. On a Raspberry Pi this may start a program, and take a moment."""
    events = sysfs.of_each_cpu(root, "thermal_throttle/*_throttle_count")  # of cores and of packages
    return State(_mhz(root), _celsius(root), _firmware_throttling(root), sum(events) if events else None)


def clock_hz() -> float | None:
    """Return the cycles per second of a core at work: measured, or else as the system reports."""
    return clock.measured_hz() or reported_clock_hz()


def reported_clock_hz(root: Path = Path("/")) -> float | None:
    """Return the clock of the fastest core, to be called right after work, because idle cores slow down.

    It comes from cpufreq, or from /proc/cpuinfo where Linux counts the cycles (aperfmperf). Elsewhere, mostly
    in virtual machines, the latter has the nominal rate; then the result is None.
    """
    if clocks := _cpufreq(root):
        return max(clocks) * 1e3
    counted = any("aperfmperf" in value.split() for _, value in cpuinfo(root))
    mhz = _mhz(root) if counted else None
    return None if mhz is None else mhz * 1e6


def throttled_now(idle: State, loaded: State) -> tuple[str, ...] | None:
    """Return why the CPU is slowed down, given its state before and during work; () if it is not."""
    if loaded.throttling is not None:
        return _throttling_names(loaded.throttling)
    if idle.throttle_events is None or loaded.throttle_events is None:
        return None
    return ("throttled",) if loaded.throttle_events > idle.throttle_events else ()


def throttled_since_boot(state: State) -> tuple[str, ...] | None:
    """Return why the CPU was slowed down at any time since boot; () if it was not."""
    if state.throttling is not None:
        return _throttling_names(state.throttling >> SINCE_BOOT_SHIFT)
    if state.throttle_events is None:
        return None
    return ("throttled",) if state.throttle_events else ()


def _throttling_names(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in enumerate(THROTTLING) if bits >> bit & 1)


def online(root: Path = Path("/")) -> list[int]:
    """Return the numbers of the CPUs, from a list such as 0-3,8-11."""
    listed = sysfs.text(root / sysfs.CPUS / "online")
    if not listed:
        return list(range(os.cpu_count() or 1))
    ends = [[int(end) for end in span.split("-")] for span in listed.split(",")]
    return [cpu for span in ends for cpu in range(span[0], span[-1] + 1)]


def _cpufreq(root: Path) -> list[int]:
    """Return the clocks of the CPUs in kHz; empty without cpufreq."""
    # The first file has the actual clock, for root alone; the second the one set, on a Raspberry Pi.
    names = ("cpufreq/cpuinfo_cur_freq", "cpufreq/scaling_cur_freq")
    return next(filter(None, (sysfs.of_each_cpu(root, name) for name in names)), [])


def _mhz(root: Path) -> float | None:
    if clocks := _cpufreq(root):
        return max(clocks) / 1e3
    return max((float(value) for name, value in cpuinfo(root) if name.startswith("cpu MHz")), default=None)


def _celsius(root: Path) -> float | None:
    """Return the temperature of the hottest sensor in the CPU."""
    return max((millidegrees / 1e3 for millidegrees in sysfs.cpu_millidegrees(root)), default=None)


def _firmware_throttling(root: Path) -> int | None:
    bits = sysfs.text(root / _FIRMWARE)
    if not bits and (program := shutil.which("vcgencmd")):
        bits = (command.output([program, "get_throttled"], 2) or "").strip().partition("=")[2]
    try:
        return int(bits, 16)
    except ValueError:
        return None


def _alike(cpus: list[int], clocks: list[int], root: Path) -> bool:
    """Return whether all cores have one highest clock, one capacity, and one number of hardware threads."""
    threads = Counter(min(physical_cores([cpu], root)) for cpu in cpus)
    capacities = sysfs.of_each_cpu(root, "cpu_capacity")
    return all(len(set(values)) <= 1 for values in (clocks, capacities, threads.values()))


def _memory_bytes(root: Path) -> int | None:
    told = re.search(r"^MemTotal: +(\d+) kB$", sysfs.text(root / "proc/meminfo"), re.MULTILINE)
    return 1024 * int(told[1]) if told else None


def _governor(root: Path) -> str | None:
    files = sorted(root.glob(f"{sysfs.CPUS}/cpu[0-9]*/cpufreq/scaling_governor"))
    return "/".join(sorted({sysfs.text(file) for file in files} - {""})) or None


def _turbo(root: Path) -> bool | None:
    off = sysfs.number(root / sysfs.CPUS / "intel_pstate/no_turbo")
    on = sysfs.number(root / sysfs.CPUS / "cpufreq/boost") if off is None else not off
    return None if on is None else bool(on)


def _interfaces() -> tuple[tuple[str, str], ...]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", os.fsencode(name))
            try:
                address, netmask = (
                    socket.inet_ntoa(fcntl.ioctl(asking.fileno(), what, request)[20:24])
                    for what in (_SIOCGIFADDR, _SIOCGIFNETMASK)
                )
            except OSError:  # it has no IPv4 address
                continue
            interface = ipaddress.IPv4Interface(f"{address}/{netmask}")
            if not interface.is_loopback:
                found.append((name, str(interface)))
    return tuple(found)


def _cpu_quota(root: Path) -> tuple[str, float] | None:
    """Return the lowest quota of this process's cgroup and its ancestors, of version 1 or 2."""
    quotas = []
    for line in sysfs.text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        unified = number == "0" and not controllers
        if unified or "cpu" in controllers.split(","):
            for folder in _cgroups(root, unified, path):
                file = folder / ("cpu.max" if unified else "cpu.cfs_quota_us")
                cores = _cores_of(
                    sysfs.text(file), "" if unified else sysfs.text(folder / "cpu.cfs_period_us")
                )
                if cores is not None:
                    quotas.append((f"/{file.relative_to(root)}", cores))
    return min(quotas, key=lambda quota: quota[1], default=None)


def _cgroups(root: Path, unified: bool, path: str) -> list[Path]:
    """Return the mounted folders of a cgroup and its ancestors; see proc(5), mountinfo."""
    for line in sysfs.text(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        mounted, place = left.split()[3:5]
        kind, *_, options = right.split()
        if kind == "cgroup2" if unified else kind == "cgroup" and "cpu" in options.split(","):
            below = path.removeprefix(mounted.rstrip("/")) if path.startswith(mounted) else ""
            top = root / place.lstrip("/")
            own = top / below.lstrip("/")
            parents = (own, *own.parents)
            return [folder for folder in parents if folder.is_relative_to(top) and folder.is_dir()]
    return []


def _cores_of(quota: str, period: str) -> float | None:
    """Return a quota in cores; None for "max 100000" or -1, which stand for no quota."""
    words = f"{quota} {period}".split()
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        return None
    return int(words[0]) / int(words[1])
