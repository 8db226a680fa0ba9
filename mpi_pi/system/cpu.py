"""The name of the CPU."""

import os
from pathlib import Path

from mpi_pi.system.read_file import system_text


def cpu_model(root: Path = Path("/")) -> str:
    """The CPU's name for people, or that of the board with it: a Raspberry Pi."""
    lines = (system_text(root / "proc/cpuinfo") or "").splitlines()
    for wanted in ("Model", "model name"):
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == wanted:
                return " ".join(value.split())
    model = system_text(root / "proc/device-tree/model")
    return os.uname().machine if model is None else model.strip("\0\n")
