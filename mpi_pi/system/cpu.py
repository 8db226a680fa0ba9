"""The CPU as Linux describes it."""

import os
from pathlib import Path

from mpi_pi.system.read_file import read_system_text


def cpuinfo(root: Path = Path("/"), max_bytes: int = -1) -> list[tuple[str, str]]:
    """Return names and values of /proc/cpuinfo, in order, of as many whole lines as `max_bytes` hold.

    With hundreds of CPUs, Linux takes its time for the whole file. Empty where there is none.
    """
    text = read_system_text(root / "proc/cpuinfo", max_bytes)
    if max_bytes >= 0:
        text = text[: text.rfind("\n") + 1]
    pairs = (line.partition(":") for line in text.splitlines())
    return [(name.strip(), value.strip()) for name, colon, value in pairs if colon]


def cpu_model(root: Path = Path("/")) -> str:
    """Return the name of the CPU, or of the board where that is given: of a Raspberry Pi."""
    told = dict(reversed(cpuinfo(root)))  # with the first of several values
    if name := told.get("Model") or told.get("model name"):
        return " ".join(name.split())
    return read_system_text(root / "proc/device-tree/model").strip("\0\n") or os.uname().machine
