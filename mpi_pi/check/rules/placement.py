"""Rules on how many ranks of a host share which cores."""

from collections.abc import Iterator, Sequence

from mpi_pi.check.hosts import Host
from mpi_pi.check.rules.comparison import numbers
from mpi_pi.findings import Observation, fault, note


@fault(
    "more ranks than cores, which have to take turns: start fewer (-n), or give the host no more slots than"
    " it has cores"
)
def too_many_ranks(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts with more ranks than hardware threads."""
    for host in hosts:
        if host.machine and len(host.ranks) > host.machine.cpus:
            yield Observation(host.name, f"{len(host.ranks)} on {host.machine.cpus}")


@fault(
    "several ranks are bound to one core while others are free: give each a core of its own (mpirun"
    " --bind-to core, srun --cpu-bind=cores), or bind none (mpirun --bind-to none)"
)
def bound_together(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find ranks that may run on fewer CPUs than they are, where the host has enough."""
    for host in hosts:
        if host.machine and len(host.ranks) <= host.machine.cpus and (bound := _bound_together(host)):
            yield Observation(host.name, bound)


def _bound_together(host: Host) -> str:
    """Return the ranks that may run on fewer CPUs than they are, and these CPUs; "" if there are none."""
    for cpus in sorted({rank.cpus for rank in host.ranks if rank.cpus}, key=len):
        inside = [rank.rank for rank in host.ranks if rank.cpus and set(rank.cpus) <= set(cpus)]
        if len(inside) > len(cpus):
            return f"{numbers('rank', inside)} on {numbers('core', cpus)}"
    return ""


def is_oversubscribed(host: Host) -> bool:
    """Return whether ranks of the host have to take turns on a core."""
    too_many = host.machine is not None and len(host.ranks) > host.machine.cpus
    return too_many or bool(_bound_together(host))


@note("ranks share cores in pairs, by hyper-threading: as many ranks as cores may count as fast")
def ranks_in_pairs(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts with more ranks than cores, but a hardware thread for each."""
    for host in hosts:
        if host.machine and host.machine.cores < len(host.ranks) <= host.machine.cpus:
            yield Observation(host.name, f"{len(host.ranks)} on {host.machine.cores}")


@note(
    "cores without a rank: right if they are left to the system or to others; otherwise give the host more"
    " slots"
)
def unused_cores(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts with fewer ranks than cores."""
    for host in hosts:
        if host.machine and len(host.ranks) < host.machine.cores:
            yield Observation(host.name, f"{host.machine.cores - len(host.ranks)} of {host.machine.cores}")
