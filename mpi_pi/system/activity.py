"""Activity of each core, as Linux counts it in /proc/stat: time at work, and time that a hypervisor took."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from mpi_pi.system import sysfs

_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ = 0, 1, 2, 5, 6  # columns of proc_stat(5); guests are in the first two

Times = Mapping[int, float]
"""Seconds by core."""


def busy_seconds(root: Path = Path("/")) -> Times:
    """Return the time that each core has worked since boot; empty where the system does not tell."""
    ticks_per_second = os.sysconf("SC_CLK_TCK")
    seconds = {}
    for line in sysfs.text(root / "proc/stat").splitlines():
        name, *ticks = line.split()
        if (number := name.removeprefix("cpu")).isdecimal() and name != number and len(ticks) > _SOFTIRQ:
            worked = (int(ticks[column]) for column in (_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ))
            seconds[int(number)] = sum(worked) / ticks_per_second
    return seconds


def shares(before: Times, after: Times, seconds: float, own: Times | None = None) -> Times:
    """Return the share of a core, 0 … 1, that others took of each in a time; `own` is our part of it."""
    own = own or {}
    return {
        core: min(max(worked - before[core] - own.get(core, 0.0), 0.0) / seconds, 1.0)
        for core, worked in after.items()
        if core in before
    }


def sample(seconds: float) -> Times:
    """Sleep for a time, and return the share that others took of each core meanwhile."""
    before, start = busy_seconds(), time.monotonic()
    time.sleep(seconds)
    return shares(before, busy_seconds(), time.monotonic() - start)
