"""Processes in /proc: this one, its launcher, the ranks beside it; and signal handlers of this one."""

import contextlib
import functools
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mpi_pi.system import launch_env
from mpi_pi.system.read_file import read_system_text

TERMINATING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LAUNCHERS = ("prterun", "orterun", "mpirun", "mpiexec")
"""Programs that start ranks. Debian's are called mpirun.openmpi and mpirun.mpich."""


def mpirun_pid() -> int | None:
    """Return the process of mpirun if it is our parent; MPICH's has a proxy in between."""
    pid = os.getppid()
    if _program(pid) == "hydra_pmi_proxy" and (fields := process_fields(pid)):
        pid = int(fields[1])
    return pid if is_launcher(_program(pid)) else None


def is_launcher(program: str) -> bool:
    """Return whether a program of this name is one of LAUNCHERS."""
    return program.partition(".")[0] in LAUNCHERS


def _program(pid: int) -> str:
    return read_system_text(Path(f"/proc/{pid}/comm")).strip()


def ranks_on_host() -> dict[int, int]:
    """Return the processes of this job's ranks on this host, by rank, as far as they have our parent.

    That is mpirun, or its daemon on this host. Empty elsewhere than on Linux.
    """
    parent = str(os.getppid())
    ranks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = process_fields(folder.name)
        if len(fields) > 1 and fields[1] == parent:
            # Nothing if the process has ended or is another user's.
            variables = read_system_text(folder / "environ").split("\0")
            rank = launch_env.rank_of(dict(entry.split("=", 1) for entry in variables if "=" in entry))
            if rank is not None:
                ranks[rank] = int(folder.name)
    return ranks


def kill(pid: int) -> None:
    """End a process at once, unless it has ended or is another user's."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def boot_id(root: Path = Path("/")) -> str:
    """Return the random number of this host's boot, which tells hosts of one name apart; "" if unknown."""
    return read_system_text(root / "proc/sys/kernel/random/boot_id").strip()


@functools.cache  # two clocks are read for it, so the result would vary
def process_start(pid: int | str = "self") -> float | None:
    """Return when a process was started, in seconds of CLOCK_MONOTONIC, to 0.01; None if unknown."""
    fields = process_fields(pid)
    if not fields:
        return None
    ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # since boot
    since_boot = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    suspended = time.clock_gettime(since_boot) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return ticks - suspended


def seconds_since_process_start(now: float | None = None) -> float:
    """Return the wall time since this process was started, to 0.01 s; CPU time where that is unknown.

    `now` is in seconds of CLOCK_MONOTONIC, by default the present.
    """
    started = process_start()
    if started is None:
        return time.process_time()
    now = time.clock_gettime(time.CLOCK_MONOTONIC) if now is None else now
    return max(now - started, 0.0)


def process_fields(pid: object) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on (field 3 in proc(5)); empty elsewhere."""
    return read_system_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def clocks() -> tuple[int, int]:
    """Return the time on a clock, and the CPU time of all threads of this process, in nanoseconds."""
    return time.perf_counter_ns(), time.process_time_ns()


def usage() -> tuple[int, int, int]:
    """Return user and system time of this process so far, in nanoseconds, and its peak memory in bytes."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    scale = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere, see getrusage(2)
    return int(used.ru_utime * 1e9), int(used.ru_stime * 1e9), used.ru_maxrss * scale


@contextlib.contextmanager
def handled(numbers: Sequence[int], handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Handle these signals within a with statement, except a SIGHUP that nohup has ignored."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    before = {
        number: signal.signal(number, handler) for number in numbers if number != signal.SIGHUP or not ignored
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
