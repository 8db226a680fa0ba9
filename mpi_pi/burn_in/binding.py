"""Cores for ranks that their launcher has not bound, so that a core that counts wrongly can be named."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mpi_pi.mpi.collectives import bcast, gather
from mpi_pi.mpi.requests import Progress
from mpi_pi.mpi.runtime import host_name
from mpi_pi.system import affinity, process

if TYPE_CHECKING:
    from mpi4py import MPI


class Place(NamedTuple):
    """Where a rank may run."""

    host: tuple[str, str]
    """Name and boot identifier."""
    cores: frozenset[int]
    threads: int
    physical: Mapping[int, int]
    """Core to which each of its hardware threads belongs; Linux counts those as cores."""


def bind(comm: "MPI.Intracomm", threads: int, progress: Progress) -> None:
    """Bind this rank to a core for each thread, if there are enough for all ranks of its host. Collective."""
    cores = affinity.cores()
    physical = {core: min(affinity.physical_cores([core])) for core in cores}
    place = Place((host_name(), process.boot_id()), cores, threads, physical)
    places = gather(comm, place, progress)
    chosen = bcast(comm, choices(places) if places else None, progress)
    if hasattr(os, "sched_setaffinity") and (own := chosen[comm.rank]):
        os.sched_setaffinity(0, own)  # of this thread, and of those that it will start


def choices(places: Sequence[Place]) -> list[frozenset[int]]:
    """Return the cores for each rank; none for all ranks of a host with too few of them."""
    chosen = [frozenset[int]()] * len(places)
    hosts: dict[tuple[str, str], list[int]] = {}
    for rank, place in enumerate(places):
        hosts.setdefault(place.host, []).append(rank)
    for ranks in hosts.values():
        for rank, cores in _of_host({rank: places[rank] for rank in ranks}).items():
            chosen[rank] = cores
    return chosen


def _of_host(places: Mapping[int, Place]) -> dict[int, frozenset[int]]:
    """Return the cores for each rank of a host, those with the smallest choice first; empty if too few."""
    taken: set[int] = set()
    busy: Counter[int] = Counter()
    chosen = {}
    for rank, place in sorted(places.items(), key=lambda item: (len(item[1].cores), item[0])):
        own: list[int] = []
        for _ in range(place.threads):
            free = place.cores - taken
            if not free:
                return {}
            # Hardware threads of a core slow each other down: first one of each core.
            core = min(free, key=lambda core: (busy[place.physical[core]], core))
            taken.add(core)
            busy[place.physical[core]] += 1
            own.append(core)
        chosen[rank] = frozenset(own)
    return chosen
