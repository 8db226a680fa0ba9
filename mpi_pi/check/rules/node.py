"""Rules on a node that is examined alone: its cores, its memory, and what kept it from being measured.

A fault takes the node out of service. So only what harms the work of others is one: wrong answers, failing
memory, slow cores; not what the environment of this program lacks.
"""

from collections.abc import Iterator

from mpi_pi.check.node import Node
from mpi_pi.check.rules import software, speed
from mpi_pi.check.rules.comparison import below_others, numbers
from mpi_pi.findings import Observation, fault, note
from mpi_pi.kernel.loader import NOT_EXECUTABLE

MIN_FREE_BYTES = 100 << 20
"""Free space in the cache folder below which there is a note."""


@fault(software.wrong_answer.sentence)
def wrong_answer(node: Node) -> Iterator[Observation]:
    """Find cores that do not count the known answers."""
    if wrong := [rank.rank for rank in node.host.ranks if rank.right is False]:
        yield Observation(node.host.name, numbers("core", wrong))


@fault(
    "memory errors that could not be corrected, since it was switched on: have the memory modules replaced;"
    " Linux counts anew after the next boot"
)
def uncorrected(node: Node) -> Iterator[Observation]:
    """Find memory errors that were not corrected."""
    if errors := node.readings.uncorrected_errors:
        yield Observation(node.host.name, str(errors))


@fault(
    "a program on each core gets only this share of it, at the least, though nothing else runs here: see to"
    " the host of this virtual machine, or the limits of this container"
)
def stolen_time(node: Node) -> Iterator[Observation]:
    """Find a node whose cores are given to others, which it does not see itself."""
    share = node.host.core_share
    if share is not None and share < speed.MIN_SHARE:
        yield Observation(node.host.name, f"{share:.0%}")


@fault(
    "only this share of the rate of its other cores, for the same CPU time, in each of several measurements:"
    " see to cooling and to the settings of its firmware"
)
def slow_core(node: Node) -> Iterator[Observation]:
    """Find cores that count slower than the others, if all are alike."""
    rates = {rank.rank: rank.points_per_second for rank in node.host.ranks if rank.points_per_second}
    alike = node.host.machine and node.host.machine.cores_alike
    for core, share in below_others(rates, speed.MIN_SHARE).items() if alike else ():
        yield Observation(node.host.name, f"core {core}: {share:.0%}")


@note("busy with the work of others, so that its speed was not measured")
def busy(node: Node) -> Iterator[Observation]:
    """Find a node on which others are at work."""
    if node.busy:
        yield Observation(node.host.name, node.busy)


@note("these cores had no time for the known answers, and were not examined")
def starved(node: Node) -> Iterator[Observation]:
    """Find cores that others take."""
    if node.starved:
        yield Observation(node.host.name, numbers("core", node.starved))


@note(
    "this program may use only so much of the node at a time ({}), so that its speed was not measured: start"
    " it without that limit"
)
def limited(node: Node) -> Iterator[Observation]:
    """Find a quota that applies to this process; jobs may have another one."""
    quota = node.host.machine and node.host.machine.cpu_quota
    if quota and node.limited:
        yield Observation(node.host.name, f"{quota[1]:.3g} cores", (quota[0],))


@note("this program may not use these cores, which were not examined: start it outside of such a cpuset")
def forbidden(node: Node) -> Iterator[Observation]:
    """Find cores outside of the cpuset of this process."""
    if node.forbidden:
        yield Observation(node.host.name, numbers("core", node.forbidden))


@note("{}, so that its speed was not measured: {}")
def numpy_kernel(node: Node) -> Iterator[Observation]:
    """Find a node on which NumPy counts, whether or not numba may compile: no job needs that."""
    rank = node.host.ranks[0]
    if rank.kernel == "numpy":
        why, remedy = rank.kernel_warning, software.ALLOW_COMPILING
        if not why:
            why = "its kernel was not compiled in time"
            remedy = "mpi-pi run -n 1 -i 1, called once by the same user, compiles it"
        elif why.startswith(NOT_EXECUTABLE):
            remedy = software.ALLOW_EXECUTION
        yield Observation(node.host.name, "", (why, remedy))


@note(
    "memory errors since it was switched on, which were corrected: if more come, have the memory module"
    " replaced"
)
def corrected(node: Node) -> Iterator[Observation]:
    """Find memory errors that were corrected."""
    if errors := node.readings.corrected_errors:
        modules = ", ".join(label for label, count in node.readings.module_errors.items() if count)
        yield Observation(node.host.name, f"{errors} in {modules}" if modules else str(errors))


@note("little space is left in {}, where jobs and this program keep temporary files")
def little_space(node: Node) -> Iterator[Observation]:
    """Find a file system that is nearly full."""
    if node.free_bytes is not None and node.free_bytes < MIN_FREE_BYTES:
        yield Observation(node.host.name, f"{node.free_bytes >> 20} MiB", (node.cache_folder,))
