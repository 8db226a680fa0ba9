"""Comparisons between hosts: which are alike, and which differ from the others."""

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from mpi_pi.check.hosts import Host
from mpi_pi.formatting import format_numbers
from mpi_pi.system.machine import Machine

Key = TypeVar("Key")


def kind(machine: Machine) -> str:
    """Return a name that is equal for machines that are alike: the revision of a board does not matter."""
    return f"{re.sub(r' Rev [0-9.]+$', '', machine.cpu)}, {machine.architecture}"


def below_twins(hosts: Sequence[Host], values: Mapping[str, float], share: float) -> dict[str, float]:
    """Compare values, by host, with those of hosts with an equal machine, number of ranks and kernel.

    Returns hosts below `share` of the median of the others, and the share that they have.
    """
    twins: dict[object, dict[str, float]] = {}
    for host in hosts:
        if host.machine and host.name in values:
            kernels = frozenset(rank.kernel for rank in host.ranks)
            alike = twins.setdefault((kind(host.machine), len(host.ranks), kernels), {})
            alike[host.name] = values[host.name]
    return {name: low for alike in twins.values() for name, low in below_others(alike, share).items()}


def below_others(values: Mapping[Key, float], share: float) -> dict[Key, float]:
    """Return the keys of values below `share` of the median of the others, and the share that they have."""
    below = {}
    ordered = sorted(values.values())  # which is quick to sort again
    for key, value in values.items():
        others = ordered.copy()
        others.remove(value)
        if others and value < share * (median := statistics.median(others)):
            below[key] = value / median
    return below


def most_common(values: Sequence[str]) -> str:
    """Return the value that occurs most often, the first of several; "" of none."""
    return Counter(values).most_common(1)[0][0] if values else ""


def numbers(thing: str, listed: Sequence[int]) -> str:
    """Return sorted numbers as text, such as "rank 3" or "ranks 1-4, 7"."""
    return f"{thing}{'s' if len(listed) > 1 else ''} {format_numbers(listed, ', ')}"
