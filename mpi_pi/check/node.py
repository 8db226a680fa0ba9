"""Facts about this node alone, gathered without MPI and without slowing down the work of others."""

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mpi_pi.check import cores, steps
from mpi_pi.check.cores import Work
from mpi_pi.check.hosts import Host, RankFacts, group_by_host
from mpi_pi.errors import RunError
from mpi_pi.formatting import format_some, number_of
from mpi_pi.kernel import code_cache
from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.system import activity, machine, sensors, slurm
from mpi_pi.system.machine import State
from mpi_pi.system.sensors import Readings
from mpi_pi.system.software import software

SAMPLE_SECONDS = 0.25
"""Time for which the node is watched before anything is counted."""
ANSWER_SECONDS = 2.5
"""Time in which each core has to count the known answers; it takes milliseconds unless others use it."""
RATE_SECONDS = 0.4
MAX_ATTEMPTS = 3
"""Maximum of measurements: a fault of speed counts only if all of them show it."""
MAX_SHARE_OF_OTHERS = 0.2
"""Share of a core from which on the node is busy with the work of others."""


@dataclass(frozen=True)
class Node:
    """A node that is examined alone: the one that this process runs on."""

    host: Host
    """With a rank for each core that was examined, of the core's number; its rate is that of its CPU time."""
    readings: Readings
    cache_folder: str
    free_bytes: int | None
    """Free space in the cache folder; None if that is not known."""
    busy: str = ""
    """Work of others, which forbids to measure; "" if there is none."""
    starved: tuple[int, ...] = ()
    """Cores without time for the known answers."""
    forbidden: tuple[int, ...] = ()
    """Cores that this process may not use."""

    @property
    def limited(self) -> bool:
        """Whether a quota of its cgroup keeps this process from using all cores at once."""
        quota = self.host.machine and self.host.machine.cpu_quota
        return bool(quota and quota[1] < len(self.host.ranks))

    @property
    def measurable(self) -> bool:
        """Whether the speed of the cores can be judged, and need be."""
        compiled = all(rank.kernel == "numba" for rank in self.host.ranks)
        return bool(compiled and self.host.right and not (self.busy or self.starved or self.limited))


def examine(
    kernel_name: str,
    cache_folder: Path | None,
    tell: Callable[[str], None],
    is_faulty: Callable[[Node], bool],
) -> Node:
    """Return the facts about this node; `tell` is called before each step.

    The rates are measured again while the node `is_faulty`, and the best of each core counts. Raises RunError
    if nothing can be said of any core.
    """
    tell(steps.WATCHING)
    busy = work_of_others(activity.sample(SAMPLE_SECONDS), slurm.other_steps())
    tell(steps.LOADING)
    kernel = load(kernel_name, cache_folder)
    tell(steps.ANSWERING)
    online = machine.online()
    usable = cores.usable(online)
    right = cores.known_answers(kernel, usable, ANSWER_SECONDS)
    if not right:
        raise RunError(f"no core had time for the known answers{f': {busy}' if busy else ''}")
    folder = cache_folder or code_cache.default_folder()
    node = Node(
        host=_host(kernel, right),
        readings=sensors.read(),
        cache_folder=str(folder),
        free_bytes=_free_bytes(folder),
        busy=busy,
        starved=tuple(core for core in usable if core not in right),
        forbidden=tuple(core for core in online if core not in usable),
    )
    if not node.measurable:
        return node
    tell(steps.MEASURING)
    return _measured(node, kernel, is_faulty)


def _measured(node: Node, kernel: Kernel, is_faulty: Callable[[Node], bool]) -> Node:
    """Return the node with the rates of its cores, unless it becomes busy."""
    best: dict[int, Work] = {}
    numbers = [rank.rank for rank in node.host.ranks]
    for _ in range(MAX_ATTEMPTS):
        idle = machine.state()
        work, of_others = cores.rates(kernel, numbers, RATE_SECONDS)
        loaded = machine.state()
        if busy := work_of_others(of_others, slurm.other_steps()):
            return replace(node, busy=busy)
        best |= {core: cores.better(done, best.get(core)) for core, done in work.items()}
        measured = replace(node, host=_with_rates(node.host, best, idle, loaded))
        if not is_faulty(measured):
            break
    return measured


def work_of_others(shares: Mapping[int, float], steps: list[str]) -> str:
    """Return what others do on this node, given their share of each core and their job steps."""
    taken = [core for core, share in shares.items() if share > MAX_SHARE_OF_OTHERS]
    told = [f"job step {format_some(steps, 3)}"] if steps else []
    if taken:
        told.append(f"programs on {len(taken)} of {number_of(len(shares), 'core')}")
    return " and ".join(told)


def _host(kernel: Kernel, right: Mapping[int, bool]) -> Host:
    """Return the host with the facts about its cores, before anything is measured."""
    here, versions = machine.machine(), software(mpi_library="")
    facts = RankFacts(
        rank=0,
        host=platform.node(),
        machine=here,
        software=versions,
        kernel=kernel.name,
        kernel_warning=kernel.warning,
        loaded=replace(machine.state(), mhz=None),  # the clock of an idle core tells nothing
    )
    ranks = [replace(facts, rank=core, cpus=(core,), right=answer) for core, answer in right.items()]
    return group_by_host(ranks)[0]


def _with_rates(host: Host, work: Mapping[int, Work], idle: State, loaded: State) -> Host:
    """Return the host with what its cores have counted, and its states before and after."""
    ranks = [replace(rank, idle=idle, loaded=loaded) for rank in host.ranks]
    for place, rank in enumerate(ranks):
        if done := work.get(rank.rank):
            ranks[place] = replace(
                rank,
                points_per_second=done.rate,
                points_per_cpu_second=done.rate,
                core_share=done.core_share,
            )
    return group_by_host(ranks)[0]


def _free_bytes(folder: Path) -> int | None:
    """Return the free space in a folder, or where it would be made; None if that is not known."""
    for place in (folder, *folder.absolute().parents):
        try:
            facts = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return facts.f_bavail * facts.f_frsize
    return None
