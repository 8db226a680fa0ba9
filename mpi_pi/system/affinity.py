"""How the threads of a host's ranks sit on its cores, in words."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mpi_pi.formatting import number_of
from mpi_pi.system.read_file import system_text

Worker = tuple[frozenset[int], int]
"""A rank: the cores that it may use, and the number of its threads."""


def in_words(workers: Sequence[Worker], online: int) -> str:
    """What is to be known of the ranks of one host, which has so many cores.

    >>> in_words([(frozenset({0}), 1), (frozenset({1}), 1)], 4)
    '2 threads on 4 cores (2 left to the system), bound to 1 core each'
    """
    threads = sum(number for _, number in workers)
    notes = []
    if crowded(workers):
        notes.append("more threads than cores to run on")
    elif threads < online:
        notes.append(f"{online - threads} left to the system")
    sizes = sorted({len(cores) for cores, _ in workers})
    if sizes == [online]:
        bound = "not bound"
    else:
        bound = f"bound to {' or '.join(map(str, sizes))} core{'' if sizes == [1] else 's'} each"
    remark = f" ({'; '.join(notes)})" if notes else ""
    return f"{number_of(threads, 'thread')} on {number_of(online, 'core')}{remark}, {bound}"


def crowded(workers: Sequence[Worker]) -> bool:
    """Whether some cores have more threads than there are of them.

    That is so where the ranks that can go nowhere else than to some cores have more threads than these are;
    as ranks are bound to cores, sockets or all of a host, it is enough to look at their own sets of cores.
    """
    return any(
        sum(number for others, number in workers if others <= cores) > len(cores)
        for cores in {cores for cores, _ in workers}
    )


def cores() -> frozenset[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(online_cores()))  # not on Linux


def physical_cores(threads: Iterable[int], root: Path = Path("/")) -> frozenset[int]:
    """The cores to which these hardware threads belong, each by the number of its first one.

    Linux counts hardware threads as CPUs. One of which nothing is told is a core by itself.
    """
    return frozenset(_first_sibling(thread, root) for thread in threads)


def _first_sibling(thread: int, root: Path) -> int:
    topology = root / f"sys/devices/system/cpu/cpu{thread}/topology"
    siblings = system_text(topology / "thread_siblings_list") or ""  # such as 0,4 or 0-1
    first = re.split("[,-]", siblings)[0].strip()
    return int(first) if first.isdecimal() else thread


def online_cores() -> int:
    """How many cores this host has, whoever may use them."""
    return os.cpu_count() or 1
