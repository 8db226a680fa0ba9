"""What a machine is, and how it is just now, as Linux tells. What the system does not tell is None.

What the system tells is read below `root`, which can hold what other machines have told.
"""

import fcntl
import ipaddress
import os
import shutil
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from mpi_pi.system import clock, command, cpu
from mpi_pi.system.read_file import system_text

FLAGS = ("avx512f", "avx512bw", "avx512dq", "avx2", "sse4_2", "asimd", "sve", "neon")
"""What the kernel can be compiled to. Every 64-bit ARM has asimd, which 32-bit ones call neon."""

THROTTLING = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
"""The lowest bits that the firmware of a Raspberry Pi tells of the present; 16 bits further up are the same
for the time since it was switched on."""
SINCE_BOOT_SHIFT = 16

_SYSTEM_CPUS = "sys/devices/system/cpu"
_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B  # netdevice(7)


@dataclass(frozen=True)
class Machine:
    """What does not change while it runs."""

    boot_id: str | None
    """Drawn when it was switched on: tells machines of one name apart."""
    architecture: str
    cpu: str
    flags: tuple[str, ...]
    """Those of `FLAGS` that it has."""
    cores: int
    cpus: int
    """Twice as many as cores where each of them runs two threads."""
    cores_alike: bool
    max_mhz: float | None
    interfaces: tuple[tuple[str, str], ...]
    """Name and IPv4 address with its network, such as 192.168.1.101/24; without the loopback."""
    cpu_quota: tuple[str, float] | None = None
    """The file that sets it, and so many cores. That of the cgroup with the least; see cgroups(7)."""


@dataclass(frozen=True)
class State:
    """How it is at a moment."""

    mhz: float | None
    """Of the fastest core."""
    celsius: float | None
    throttling: int | None
    """What the firmware of a Raspberry Pi tells; see `THROTTLING`."""
    throttle_events: int | None
    """How often an x86 CPU has slowed itself down for its heat, since it was switched on."""


def machine(root: Path = Path("/")) -> Machine:
    """The machine that this runs on."""
    cpus = _online(root)
    siblings = {
        _text(root / _SYSTEM_CPUS / f"cpu{cpu}" / "topology/thread_siblings_list") or str(cpu) for cpu in cpus
    }
    clocks = _of_each_cpu(root, "cpufreq/cpuinfo_max_freq")
    return Machine(
        boot_id=_text(root / "proc/sys/kernel/random/boot_id"),
        architecture=os.uname().machine,
        cpu=cpu.cpu_model(root),
        flags=_flags(root),
        cores=len(siblings),
        cpus=len(cpus),
        cores_alike=len(set(clocks)) <= 1 and len(set(_of_each_cpu(root, "cpu_capacity"))) <= 1,
        max_mhz=max(clocks) / 1e3 if clocks else None,
        interfaces=_interfaces(),
        cpu_quota=_cpu_quota(root),
    )


def state(root: Path = Path("/")) -> State:
    """How the machine is just now. On a Raspberry Pi this may start a program, and take a moment."""
    return State(_mhz(root), _celsius(root), _firmware_throttling(root), _throttle_events(root))


def clock_hz() -> float | None:
    """Cycles per second of the core that this runs on, at work: measured, or else as the system tells."""
    return clock.measured_hz() or told_clock_hz()


def told_clock_hz(root: Path = Path("/")) -> float | None:
    """The clock of the fastest core just now; to be asked right after work, because idle cores slow down.

    Of what the system tells cpufreq is trusted, and /proc/cpuinfo where Linux counts the cycles (aperfmperf).
    Elsewhere, in virtual machines above all, that has the nominal rate, whatever the core does: not known.
    """
    if clocks := _cpufreq(root):
        return max(clocks) * 1e3
    counted = "aperfmperf" in " ".join(_cpuinfo(root)).split()
    mhz = _mhz(root) if counted else None
    return None if mhz is None else mhz * 1e6


def throttled_now(idle: State, loaded: State) -> tuple[str, ...] | None:
    """Why the CPU is slower than it could be, of its states before work and at it; () if it is not."""
    if loaded.throttling is not None:
        return _in_words(loaded.throttling)
    if idle.throttle_events is None or loaded.throttle_events is None:
        return None
    return ("throttled",) if loaded.throttle_events > idle.throttle_events else ()


def throttled_since_boot(state: State) -> tuple[str, ...] | None:
    """Why it was slower than it could be, now or earlier."""
    if state.throttling is not None:
        return _in_words(state.throttling >> SINCE_BOOT_SHIFT)
    if state.throttle_events is None:
        return None
    return ("throttled",) if state.throttle_events else ()


def _in_words(bits: int) -> tuple[str, ...]:
    return tuple(word for bit, word in enumerate(THROTTLING) if bits >> bit & 1)


def _online(root: Path) -> list[int]:
    """The numbers of the CPUs, from a list such as 0-3,8-11."""
    listed = _text(root / _SYSTEM_CPUS / "online")
    if not listed:
        return list(range(os.cpu_count() or 1))
    ends = [[int(end) for end in span.split("-")] for span in listed.split(",")]
    return [cpu for span in ends for cpu in range(span[0], span[-1] + 1)]


def _of_each_cpu(root: Path, name: str) -> list[int]:
    """What a file of each CPU says, for those that have it."""
    numbers = (_number(file) for file in sorted(root.glob(f"{_SYSTEM_CPUS}/cpu[0-9]*/{name}")))
    return [number for number in numbers if number is not None]


def _flags(root: Path) -> tuple[str, ...]:
    for line in _cpuinfo(root):
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            there = set(value.split())
            return tuple(flag for flag in FLAGS if flag in there)
    return ()


def _cpufreq(root: Path) -> list[int]:
    """The clocks in kHz, where there is such a thing."""
    # The first is what the clock is, for root alone; the second what it was set to, on a Raspberry Pi.
    names = ("cpufreq/cpuinfo_cur_freq", "cpufreq/scaling_cur_freq")
    return next(filter(None, (_of_each_cpu(root, name) for name in names)), [])


def _mhz(root: Path) -> float | None:
    if clocks := _cpufreq(root):
        return max(clocks) / 1e3
    told = [line.partition(":")[2] for line in _cpuinfo(root) if line.startswith("cpu MHz")]
    return max(map(float, told), default=None)


def _celsius(root: Path) -> float | None:
    """Of the hottest sensor in the CPU."""
    zones = [
        _number(zone / "temp")
        for zone in root.glob("sys/class/thermal/thermal_zone*")
        if any(word in (_text(zone / "type") or "") for word in ("cpu", "x86_pkg", "soc"))
    ]
    return max((zone / 1e3 for zone in zones if zone is not None), default=None)


def _throttle_events(root: Path) -> int | None:
    counts = [
        count
        for scope in ("core", "package")
        for count in _of_each_cpu(root, f"thermal_throttle/{scope}_throttle_count")
    ]
    return sum(counts) if counts else None


def _firmware_throttling(root: Path) -> int | None:
    told = _text(root / _FIRMWARE)
    if told is None and (program := shutil.which("vcgencmd")):
        told = (command.output([program, "get_throttled"], 2) or "").strip().partition("=")[2]
    try:
        return int(told or "", 16)
    except ValueError:
        return None


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
    """The least of the quotas of this process's cgroup and of those around it, of either version."""
    quotas = []
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        number, controllers, path = line.split(":", 2)
        unified = number == "0" and not controllers
        if unified or "cpu" in controllers.split(","):
            for folder in _cgroups(root, unified, path):
                file = folder / ("cpu.max" if unified else "cpu.cfs_quota_us")
                cores = _cores_of(_text(file), None if unified else _text(folder / "cpu.cfs_period_us"))
                if cores is not None:
                    quotas.append((f"/{file.relative_to(root)}", cores))
    return min(quotas, key=lambda quota: quota[1], default=None)


def _cgroups(root: Path, unified: bool, path: str) -> list[Path]:
    """The folders of a cgroup and of those around it, as far as they are mounted; see proc(5), mountinfo."""
    for line in (_text(root / "proc/self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        mounted, place = left.split()[3:5]
        kind, *_, options = right.split()
        fitting = kind == "cgroup2" if unified else kind == "cgroup" and "cpu" in options.split(",")
        if fitting:
            below = path.removeprefix(mounted.rstrip("/")) if path.startswith(mounted) else ""
            top = root / place.lstrip("/")
            own = top / below.lstrip("/")
            return [
                folder for folder in (own, *own.parents) if folder.is_relative_to(top) and folder.is_dir()
            ]
    return []


def _cores_of(quota: str | None, period: str | None) -> float | None:
    """A quota in cores: of "max 100000" or -1, which stand for none, None."""
    words = f"{quota or ''} {period or ''}".split()
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        return None
    return int(words[0]) / int(words[1])


def _cpuinfo(root: Path) -> list[str]:
    return (_text(root / "proc/cpuinfo") or "").splitlines()


def _text(file: Path) -> str | None:
    told = system_text(file)
    return None if told is None else told.strip("\0 \n")


def _number(file: Path) -> int | None:
    try:
        return int(_text(file) or "")
    except ValueError:
        return None
