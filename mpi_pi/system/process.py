"""Processes, as Linux shows them in /proc: this one, its launcher, and the ranks beside it."""

import functools
import os
import resource
import sys
import time
from pathlib import Path

from mpi_pi.system import launch_env
from mpi_pi.system.read_file import system_text

_LOCAL_LAUNCHERS = ("prterun", "orterun", "mpirun", "mpiexec")


def mpirun() -> int | None:
    """The process of mpirun where it is our parent; MPICH's has a proxy between us."""
    process = os.getppid()
    if _program(process) == "hydra_pmi_proxy" and (fields := process_fields(process)):
        process = int(fields[1])
    # Debian's are called mpirun.openmpi and mpirun.mpich.
    return process if _program(process).partition(".")[0] in _LOCAL_LAUNCHERS else None


def _program(process: int) -> str:
    return (system_text(Path(f"/proc/{process}/comm")) or "").strip()


def ranks_on_host() -> dict[int, int]:
    """The processes of this job's ranks on this host, by rank, as far as the launcher started them directly.

    They have the parent in common: mpirun, or its daemon on this host. On Linux; nothing elsewhere.
    """
    parent = str(os.getppid())
    ranks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = process_fields(folder.name)
        if len(fields) > 1 and fields[1] == parent:
            number = launch_env.rank_of(_environ_of(folder))
            if number is not None:
                ranks[number] = int(folder.name)
    return ranks


def _environ_of(process: Path) -> dict[str, str]:
    """What a process was started with; nothing if it has ended or is another user's."""
    try:
        content = (process / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in content.split("\0") if "=" in entry)


@functools.cache
def process_start(process: object = "self") -> float | None:
    """When the kernel started a process, in seconds of CLOCK_MONOTONIC, to a hundredth; None if unknown.

    It is found out once: two clocks are read for it, and each time the answer would be another.
    """
    fields = process_fields(process)
    if not fields:
        return None
    ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # since boot
    since_boot = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    suspended = time.clock_gettime(since_boot) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return ticks - suspended


def launcher_start() -> float | None:
    """The same of mpirun, where it is our parent process."""
    process = mpirun()
    return None if process is None else process_start(process)


def seconds_since_process_start(now: float | None = None) -> float:
    """Wall time since the kernel started this process, to a hundredth; where it does not tell, CPU time.

    `now` is of CLOCK_MONOTONIC, if it has been looked at.
    """
    started = process_start()
    if started is None:
        return time.process_time()
    now = time.clock_gettime(time.CLOCK_MONOTONIC) if now is None else now
    return max(now - started, 0.0)


def process_fields(process: object) -> list[str]:
    """What Linux tells in /proc/PROCESS/stat, from the state on (field 3 in proc(5)); nothing elsewhere."""
    return (system_text(Path(f"/proc/{process}/stat")) or "").rpartition(")")[2].split()


def peak_memory_bytes(usage: resource.struct_rusage) -> int:
    """Return the most memory that this process has had so far, in bytes."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes there, KiB elsewhere
