"""Made-up /sys trees of hosts with sensors."""

from collections.abc import Mapping
from pathlib import Path

CPUS = "sys/devices/system/cpu"
MEMORY = "sys/devices/system/edac/mc"
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"

INTEL: dict[str, object] = {
    **{f"{CPUS}/cpu{cpu}/cpufreq/scaling_cur_freq": 3_400_000 - 100_000 * cpu for cpu in (0, 1)},
    **{f"{CPUS}/cpu{cpu}/thermal_throttle/core_throttle_count": cpu for cpu in (0, 1)},
    **{f"{CPUS}/cpu{cpu}/thermal_throttle/core_throttle_total_time_ms": 40 * cpu for cpu in (0, 1)},
    **{f"{CPUS}/cpu{cpu}/thermal_throttle/package_throttle_count": 7 for cpu in (0, 1)},
    **{f"{CPUS}/cpu{cpu}/thermal_throttle/package_throttle_total_time_ms": 300 for cpu in (0, 1)},
    "sys/class/thermal/thermal_zone0/type": "acpitz",
    "sys/class/thermal/thermal_zone0/temp": 99_000,
    "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp",
    "sys/class/thermal/thermal_zone1/temp": 71_000,
    "sys/class/thermal/cooling_device0/type": "Processor",
    "sys/class/thermal/cooling_device0/cur_state": 0,
    "sys/class/thermal/cooling_device1/type": "Fan",
    "sys/class/thermal/cooling_device1/cur_state": 3,
    "sys/class/hwmon/hwmon0/name": "nvme",
    "sys/class/hwmon/hwmon0/temp1_input": 95_000,
    "sys/class/hwmon/hwmon1/name": "coretemp",
    "sys/class/hwmon/hwmon1/temp1_input": 71_000,
    "sys/class/hwmon/hwmon1/temp1_label": "Package id 0",
    "sys/class/hwmon/hwmon1/temp2_input": 73_500,
    "sys/class/hwmon/hwmon1/temp2_label": "Core 0",
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/energy_uj": 262_000_000_000,
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": 262_143_328_850,
    "sys/class/powercap/intel-rapl:0:0/name": "core",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": 5,
    "sys/class/powercap/intel-rapl:0:0/max_energy_range_uj": 262_143_328_850,
    "sys/class/powercap/intel-rapl:1/name": "psys",
    "sys/class/powercap/intel-rapl:1/energy_uj": 6,
    "sys/class/powercap/intel-rapl:1/max_energy_range_uj": 262_143_328_850,
    f"{MEMORY}/mc0/ce_count": 2,
    f"{MEMORY}/mc0/ue_count": 0,
    f"{MEMORY}/mc0/dimm0/dimm_ce_count": 0,
    f"{MEMORY}/mc0/dimm0/dimm_label": "DIMM_A1",
    f"{MEMORY}/mc0/dimm1/dimm_ce_count": 2,
    f"{MEMORY}/mc0/dimm1/dimm_label": "",
    f"{MEMORY}/mc1/ce_count": 1,
    f"{MEMORY}/mc1/ue_count": 1,
}
"""A server with two cores."""

PI: dict[str, object] = {
    **{f"{CPUS}/cpu{cpu}/cpufreq/scaling_cur_freq": 1_500_000 for cpu in range(4)},
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": 61_322,
    FIRMWARE: "50000",
    "sys/class/hwmon/hwmon0/name": "cpu_thermal",
    "sys/class/hwmon/hwmon0/temp1_input": 61_322,
    "sys/class/hwmon/hwmon1/name": "rpi_volt",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": 0,
}
"""A Raspberry Pi 4 that has been throttled before."""

AMD: dict[str, object] = {
    "sys/class/hwmon/hwmon0/name": "k10temp",
    "sys/class/hwmon/hwmon0/temp1_input": 95_000,
    "sys/class/hwmon/hwmon0/temp1_label": "Tctl",
    "sys/class/hwmon/hwmon0/temp2_input": 68_000,
    "sys/class/hwmon/hwmon0/temp2_label": "Tdie",
}


def write(root: Path, files: Mapping[str, object]) -> Path:
    """Write files with their contents below a folder, and return the folder."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return root
