"""Sensors of this host, to be read again and again: clocks, temperature, energy, throttling, memory errors.

The documentation of Linux describes the files in admin-guide/pm/cpufreq, driver-api/thermal/sysfs-api,
hwmon/k10temp, power/powercap, admin-guide/thermal/intel_thermal_throttle and ABI/testing/sysfs-devices-edac.
None, and an empty tuple or mapping, stand for what a system does not report, or not to this user.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mpi_pi.system import sysfs

ROOT = "/"
"""Folder below which the files are read, unless another one is given."""

CPU_MONITORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""Hardware monitors in CPUs."""
CPU_COOLING = ("cpufreq-", "thermal-cpufreq", "Processor")
"""First parts of the types of cooling devices that slow a CPU down."""

SLOWED = 0b1110
"""Bits of a Raspberry Pi's firmware that tell of a lower clock now, see `machine.THROTTLING`."""
UNDER_VOLTAGE = 0b0001


class Readings(NamedTuple):
    """What the sensors tell at one moment. Counters have begun at some time before."""

    core_mhz: tuple[float, ...]
    celsius: float | None
    """Of the hottest sensor in the CPUs."""
    energy: Mapping[str, tuple[int, int]]
    """Energy that each CPU has used, in microjoules, and the value at which that counter begins anew."""
    throttle_events: tuple[int, ...]
    """How often heat has slowed each core and package down."""
    throttle_milliseconds: tuple[int, ...]
    """For how long; Linux adds the time of an event when it is over."""
    slowed: bool | None
    """True if the firmware, or Linux, slows the CPU down just now."""
    firmware: int | None
    """Bits of a Raspberry Pi's firmware, see `machine.THROTTLING`."""
    under_voltage: bool | None
    corrected_errors: int | None
    """Memory errors that the memory has corrected."""
    uncorrected_errors: int | None
    module_errors: Mapping[str, int]
    """Corrected errors by the label of the memory module."""


def read(root: Path | None = None) -> Readings:
    """Return the present readings."""
    root = Path(ROOT) if root is None else root
    firmware = _firmware(root)
    return Readings(
        core_mhz=tuple(khz / 1e3 for khz in sysfs.of_each_cpu(root, "cpufreq/scaling_cur_freq")),
        celsius=_celsius(root),
        energy=_energy(root),
        throttle_events=tuple(sysfs.of_each_cpu(root, "thermal_throttle/*_throttle_count")),
        throttle_milliseconds=tuple(sysfs.of_each_cpu(root, "thermal_throttle/*_throttle_total_time_ms")),
        slowed=_slowed(root, firmware),
        firmware=firmware,
        under_voltage=_under_voltage(root, firmware),
        corrected_errors=_memory_errors(root, "ce_count"),
        uncorrected_errors=_memory_errors(root, "ue_count"),
        module_errors=_module_errors(root),
    )


def watts(before: Readings, after: Readings, seconds: float) -> float | None:
    """Return the mean power of the CPUs between two readings; None unless it is known of all of them."""
    if not before.energy or before.energy.keys() != after.energy.keys() or seconds <= 0:
        return None
    used = 0
    for zone, (microjoules, wraps_at) in after.energy.items():
        more = microjoules - before.energy[zone][0]
        used += more if more >= 0 else more + wraps_at
    return used / 1e6 / seconds


def _celsius(root: Path) -> float | None:
    found: list[int | None] = [*sysfs.cpu_millidegrees(root)]
    for monitor in root.glob("sys/class/hwmon/hwmon*"):
        if sysfs.text(monitor / "name") in CPU_MONITORS:
            inputs = sorted(monitor.glob("temp*_input"))
            # AMD's Tctl is made for the control of fans, on some models with an offset; Tdie is real.
            real = [file for file in inputs if _label(file) != "Tctl"]
            found += [sysfs.number(file) for file in real or inputs]
    return max((millidegrees / 1e3 for millidegrees in found if millidegrees is not None), default=None)


def _label(file: Path) -> str:
    return sysfs.text(file.with_name(file.name.replace("_input", "_label")))


def _energy(root: Path) -> dict[str, tuple[int, int]]:
    """Return the counters of the packages, of which cores and memory are parts; often for root alone."""
    found = {}
    for zone in root.glob("sys/class/powercap/intel-rapl:*"):  # AMD's have this name, too
        if sysfs.text(zone / "name").startswith("package"):
            used, wraps_at = sysfs.number(zone / "energy_uj"), sysfs.number(zone / "max_energy_range_uj")
            if used is not None and wraps_at is not None:
                found[zone.name] = used, wraps_at
    return found


def _firmware(root: Path) -> int | None:
    # The node of the chip has an address in its name on a Raspberry Pi 5.
    for pattern in ("soc*/*:firmware", "*:firmware"):
        for file in root.glob(f"sys/devices/platform/{pattern}/get_throttled"):
            try:
                return int(sysfs.text(file), 16)
            except ValueError:
                continue
    return None


def _slowed(root: Path, firmware: int | None) -> bool | None:
    states = [
        sysfs.number(device / "cur_state")
        for device in root.glob("sys/class/thermal/cooling_device*")
        if sysfs.text(device / "type").startswith(CPU_COOLING)
    ]
    known = [state > 0 for state in states if state is not None]
    known += [] if firmware is None else [bool(firmware & SLOWED)]
    return any(known) if known else None


def _under_voltage(root: Path, firmware: int | None) -> bool | None:
    alarms = [
        sysfs.number(monitor / "in0_lcrit_alarm")
        for monitor in root.glob("sys/class/hwmon/hwmon*")
        if sysfs.text(monitor / "name") == "rpi_volt"
    ]
    known = [alarm > 0 for alarm in alarms if alarm is not None]
    known += [] if firmware is None else [bool(firmware & UNDER_VOLTAGE)]
    return any(known) if known else None


def _memory_errors(root: Path, name: str) -> int | None:
    counts = sysfs.numbers(root, f"sys/devices/system/edac/mc/mc*/{name}")
    return sum(counts) if counts else None


def _module_errors(root: Path) -> dict[str, int]:
    errors: dict[str, int] = {}
    for file in sorted(root.glob("sys/devices/system/edac/mc/mc*/*/dimm_ce_count")):
        count, folder = sysfs.number(file), file.parent
        if count is not None:
            label = sysfs.text(folder / "dimm_label") or f"{folder.parent.name} {folder.name}"
            errors[label] = errors.get(label, 0) + count
    return errors
