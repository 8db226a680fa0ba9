"""Values in small files of the system, below a root that can hold copies from other machines."""

from pathlib import Path

from mpi_pi.system.read_file import read_system_text

CPUS = "sys/devices/system/cpu"

CPU_ZONES = ("cpu", "x86_pkg", "soc")
"""Parts of the types of thermal zones in a CPU: x86_pkg_temp, and cpu-thermal of a Raspberry Pi."""


def text(file: Path) -> str:
    """Return the text of a file without blanks around it; "" if it cannot be read."""
    return read_system_text(file).strip("\0 \n")


def number(file: Path) -> int | None:
    """Return the number in a file; None if there is none."""
    try:
        return int(text(file))
    except ValueError:
        return None


def numbers(root: Path, pattern: str) -> list[int]:
    """Return the numbers in the files that match a pattern, of those that have one, in the files' order."""
    found = (number(file) for file in sorted(root.glob(pattern)))
    return [value for value in found if value is not None]


def of_each_cpu(root: Path, name: str) -> list[int]:
    """Return the number in a file of each CPU, of those that have it."""
    return numbers(root, f"{CPUS}/cpu[0-9]*/{name}")


def cpu_millidegrees(root: Path) -> list[int]:
    """Return the temperatures of the thermal zones in the CPUs, in thousandths of a degree Celsius."""
    zones = [
        number(zone / "temp")
        for zone in root.glob("sys/class/thermal/thermal_zone*")
        if any(word in text(zone / "type") for word in CPU_ZONES)
    ]
    return [value for value in zones if value is not None]
