"""Time limit for MPI_Init and MPI_Finalize, which wait for all ranks, and for which MPI has none."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mpi_pi.system import launch_env, process

patience_seconds = 60.0
"""Silence after which a rank is given up; the command sets it by `--patience`. TCP doubles its time between
retries, so messages still arrive after an outage of half as long."""

GiveUp = Callable[[str, Iterable[int]], object]
give_up: GiveUp | None = None
"""Function that ends this process if an MPI function does not return in time. Its arguments are the reason,
and the process ids of missing ranks on this host. The command sets it; a program that uses the package as a
library, and does not set it, waits without a limit."""

CONFIRM_SECONDS = 0.5
"""Time for which a rank has to be missing: one that has given up and is about to end must not be named."""

ENDED_SECONDS = 1.0
"""Interval at which ranks look whether a rank of their host has ended."""

STAGGER_SECONDS = 2.0
"""Extra wait of ranks that see no missing rank on their host, so that a rank that sees one reports first."""


@contextlib.contextmanager
def limited(function: str, times: int = 1) -> Iterator[None]:
    """Call `give_up` if the body of the with statement, which calls this MPI function, takes too long.

    That is longer than `times` the patience.
    """
    if give_up is None or (launch_env.size() or 1) == 1:
        yield
        return
    over = threading.Event()
    threads = [threading.Thread(target=_watch, args=(function, times, over, give_up), daemon=True)]
    if function == "MPI_Init" and launch_env.survives_loss():
        threads.append(threading.Thread(target=_watch_start, args=(over, give_up), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _watch(function: str, times: int, over: threading.Event, give_up: GiveUp) -> None:
    # The name of this thread shows other ranks of the host that this rank has reached the function.
    with contextlib.suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(function)
    if over.wait(times * patience_seconds + min(launch_env.rank(), 100) * 0.01):
        return
    missing = _missing(function)
    if missing:
        if over.wait(CONFIRM_SECONDS):
            return
        missing = dict(missing.items() & _missing(function).items())
    if missing or not over.wait(STAGGER_SECONDS):
        give_up(_describe(function, times * patience_seconds, missing), missing.values())


def _watch_start(over: threading.Event, give_up: GiveUp) -> None:
    """End this process, and so the job, if a rank of this host ends before MPI has started.

    In a job that is to survive losses, mpirun leaves that to the other ranks, which MPI cannot tell yet.
    """
    fewer_before = False
    while not over.wait(ENDED_SECONDS):
        fewer = len(process.ranks_on_host()) < launch_env.size_on_host()
        if fewer and fewer_before:
            give_up(f"a rank on host {socket.gethostname()} has ended before MPI could start", ())
        fewer_before = fewer


def _missing(function: str) -> dict[int, int]:
    """Return the process ids, by rank, of this host's ranks that are not in `function` or are stopped."""
    return {
        rank: pid
        for rank, pid in process.ranks_on_host().items()
        if function not in _threads_of(pid) or process.process_fields(pid)[:1] == ["T"]
    }


def _threads_of(pid: int) -> set[str]:
    """Return the names of the threads of a process."""
    names = set()
    with contextlib.suppress(OSError):  # the process has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            names.add((thread / "comm").read_text(errors="replace").strip())
    return names


def _describe(function: str, seconds: float, missing: Iterable[int]) -> str:
    host = socket.gethostname()
    if missing:
        return describe_silence({host: [str(rank) for rank in sorted(missing)]}, f" before {function}")
    return (
        f"rank {launch_env.rank()} on host {host} has waited for {seconds:.0f} s in {function}:"
        " other ranks are silent, or have ended; of several hosts, make check-hosts HOSTFILE=... tells which"
    )


def describe_silence(ranks_by_host: dict[str, list[str]], where: str = "") -> str:
    """Return the text of an error about silent ranks, a line for each host."""
    return "\n".join(
        f"host {host} has been silent for {patience_seconds:.0f} s{where}, with rank {', '.join(ranks)}"
        for host, ranks in ranks_by_host.items()
    )
