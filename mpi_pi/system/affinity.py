"""CPU affinity: the cores that the ranks of a host may use, and cores with more threads than they can run."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mpi_pi.formatting import number_of
from mpi_pi.system.read_file import read_system_text

Binding = tuple[frozenset[int], int]
"""The cores that a rank may use, and the number of its threads."""


def format_affinity(bindings: Sequence[Binding], online: int) -> str:
    """Return the affinity of the ranks of one host, which has `online` cores, as text for the user.

    >>> format_affinity([(frozenset({0}), 1), (frozenset({1}), 1)], 4)
    '2 threads on 4 cores (2 left to the system), bound to 1 core each'
    """
    threads = sum(number for _, number in bindings)
    note = ""
    if oversubscribed(bindings):
        note = " (more threads than cores to run on)"
    elif threads < online:
        note = f" ({online - threads} left to the system)"
    sizes = sorted({len(cores) for cores, _ in bindings})
    if sizes == [online]:
        bound = "not bound"
    else:
        bound = f"bound to {' or '.join(map(str, sizes))} core{'' if sizes == [1] else 's'} each"
    return f"{number_of(threads, 'thread')} on {number_of(online, 'core')}{note}, {bound}"


def oversubscribed(bindings: Sequence[Binding]) -> bool:
    """Return whether some cores have more threads than there are of them.

    That is so if the ranks bound within some set of cores have more threads than it has cores. Ranks are
    bound to cores, sockets or the whole host, so it suffices to test the ranks' own sets of cores.
    """
    return any(
        sum(number for others, number in bindings if others <= cores) > len(cores)
        for cores in {cores for cores, _ in bindings}
    )


def cores() -> frozenset[int]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(online_cores()))  # not on Linux


def physical_cores(threads: Iterable[int], root: Path = Path("/")) -> frozenset[int]:
    """Return the cores to which these hardware threads belong, each by the number of its first one.

    Linux counts hardware threads as CPUs. Without topology information each is a core of its own.
    """
    return frozenset(_first_sibling(thread, root) for thread in threads)


def _first_sibling(thread: int, root: Path) -> int:
    topology = root / f"sys/devices/system/cpu/cpu{thread}/topology"
    siblings = read_system_text(topology / "thread_siblings_list")  # such as 0,4 or 0-1
    first = re.split("[,-]", siblings)[0].strip()
    return int(first) if first.isdecimal() else thread


def online_cores() -> int:
    """Return how many cores this host has, whether or not this process may use them."""
    return os.cpu_count() or 1
