"""Machines with a Python, and the wheels that fit them."""

import platform
import re
from dataclasses import dataclass

from mpi_pi.cluster.agent.environment import glibc
from mpi_pi.system.versions import minor

OLDEST_GLIBC = {"x86_64": 5}
"""Minor version of the oldest glibc with manylinux wheels, by machine; 17 for all others."""
NICKNAMES = {17: ["manylinux2014"], 12: ["manylinux2010"], 5: ["manylinux1"]}


@dataclass(frozen=True)
class Platform:
    """A machine and a Python that wheels have to fit."""

    python: str
    """Full version."""
    machine: str
    """"aarch64" or "x86_64"."""
    glibc: str
    """Version of glibc; "" if the system has another C library."""

    def __str__(self) -> str:
        return f"Python {self.python} on {self.machine} with glibc {self.glibc}"

    def platforms(self) -> list[str]:
        """Return the platform tags of all wheels that run there, the best first (PEP 600)."""
        newest = re.match(r"2\.(\d+)", self.glibc)
        tags = []
        for number in range(int(newest[1]) if newest else 0, OLDEST_GLIBC.get(self.machine, 17) - 1, -1):
            tags += [f"manylinux_2_{number}", *NICKNAMES.get(number, [])]
        return [f"{tag}_{self.machine}" for tag in [*tags, "linux"]]

    def runs(self, other: "Platform") -> bool:
        """Return whether this platform runs what was installed for the other one."""
        alike = (self.machine, minor(self.python)) == (other.machine, minor(other.python))
        return alike and other.glibc != "" and numbers(self.glibc) >= numbers(other.glibc)


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers in a version."""
    return tuple(map(int, re.findall(r"\d+", version)))


def here() -> Platform:
    """Return the platform of this environment."""
    return Platform(platform.python_version(), platform.machine(), glibc())
