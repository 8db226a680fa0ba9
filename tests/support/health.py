"""Rows of a check from healthy hosts, and the changes that each make a fault or a note of them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from mpi_pi.check.hosts import RankFacts
from mpi_pi.mpi.pingpong import Link
from mpi_pi.system.machine import Machine, State
from mpi_pi.system.software import Software

PI = Machine(
    boot_id="",
    architecture="aarch64",
    cpu="Raspberry Pi 4 Model B Rev 1.4",
    flags=("asimd",),
    cores=4,
    cpus=4,
    cores_alike=True,
    max_mhz=1500,
    interfaces=(),
)
SOFTWARE = Software("3.11.2", 64, "0.1.0", "3f2a9c01be77", 1, "2.4.6", "0.68.1", "4.1.2", "Open MPI v5.0.11")
COOL = State(mhz=1500, celsius=55, throttling=0, throttle_events=None)
ETHERNET = Link(latency_seconds=2e-4, bytes_per_second=1.1e8, message_bytes=1 << 22, skew_seconds=0.01)

Rows = list[RankFacts]
Change = Callable[[Rows], Iterable[RankFacts]]


def healthy(hosts: int = 4, ranks: int = 4) -> Rows:
    """Return the rows of Raspberry Pis, node1 …, with so many ranks each."""
    rows = []
    for rank in range(hosts * ranks):
        number, core = divmod(rank, ranks)
        interfaces = (("eth0", f"192.168.{1 + number // 100}.{101 + number % 100}/16"),)
        rows.append(
            RankFacts(
                rank=rank,
                host=f"node{number + 1}",
                machine=replace(PI, boot_id=f"boot-{number}", interfaces=interfaces),
                software=SOFTWARE,
                cpus=(0, 1, 2, 3),
                kernel="numba",
                right=True,
                points_per_second=1e8 + rank,
                points_per_cpu_second=1.1e8,
                core_share=0.99,
                idle=COOL if core == 0 else None,
                loaded=COOL if core == 0 else None,
                link=ETHERNET if core == (1 if number == 0 else 0) else None,
            )
        )
    return rows


def on(*hosts: str, **changes: Any) -> Change:
    """Return a change of all rows of hosts, by members of a row, its machine, software, states or link."""

    def changed(row: RankFacts) -> RankFacts:
        for name, value in changes.items():
            if name in ("machine", "software", "loaded", "idle", "link"):
                if getattr(row, name):
                    row = replace(row, **{name: replace(getattr(row, name), **value)})
            else:
                row = replace(row, **{name: value})
        return row

    return lambda rows: [changed(row) if row.host in hosts else row for row in rows]


def at(rank: int, **changes: Any) -> Change:
    return lambda rows: [replace(row, **changes) if row.rank == rank else row for row in rows]


def every(**changes: Any) -> Change:
    return on("node1", "node2", "node3", "node4", **changes)


def without(*ranks: int) -> Change:
    return lambda rows: [row for row in rows if row.rank not in ranks]


def both(first: Change, second: Change) -> Change:
    return lambda rows: second(list(first(rows)))


def docker(number: int) -> dict[str, Any]:
    """Return a machine that runs Docker, too, which gives all machines one address."""
    return {"interfaces": (("docker0", "172.17.0.1/16"), ("eth0", f"192.168.1.{number}/16"))}


def bound(*cpus: int) -> Change:
    """Return a change that binds the ranks of node2 to these CPUs."""
    return lambda rows: [
        replace(row, cpus=(cpus[row.rank - 4],)) if 4 <= row.rank < 8 else row for row in rows
    ]


NO_NUMBA = "numba is not installed: the NumPy kernel counts, slowly"
OF_X86 = {"throttling": None, "throttle_events": 3}

# What is the matter; how its sentence begins, and what it also has in it.
FAULTS: dict[str, tuple[Change, str, str]] = {
    "silent host": (on("node3", reachable=False), "node3 (ranks 8-11): no answer", "rank 0 on node1"),
    "silent rank": (at(9, reachable=False), "node3 (rank 9): ", "make check-hosts"),
    "failure": (at(9, problem="OSError: no"), "node3 (rank 9): OSError: no", "check again"),
    "wrong answer": (at(9, right=False), "node3 (rank 9): ", "delete the cache of compiled code"),
    "same names": (
        on("node3", host="node4"),
        "node4/192.168.1.103, node4/192.168.1.104: 2 machines are called node4",
        "hostnamectl set-hostname",
    ),
    "other version": (
        on("node2", "node3", software={"package": "0.2.0"}),
        "node2 (0.2.0, stream 1, sources 3f2a9c01be77), node3 (0.2.0",
        "another mpi-pi than on most hosts, 0.1.0",
    ),
    "other stream": (on("node2", software={"stream": 2}), "node2 (0.1.0, stream 2", "make deploy"),
    "edited": (on("node2", software={"sources": "0"}), "node2 (0.1.0, stream 1, sources 0): ", "mpi-pi"),
    "other MPI": (
        on("node4", software={"mpi": "MPICH 5.0.2"}),
        "node4 (MPICH 5.0.2): another MPI",
        "v5.0.11",
    ),
    "no numba": (
        on("node2", kernel="numpy", kernel_warning=NO_NUMBA, points_per_second=1e6, software={"numba": None}),
        "node2: numba is not installed",
        "pip install numba",
    ),
    "too many ranks": (
        on("node2", machine={"cores": 2, "cpus": 2}, core_share=0.5),
        "node2 (4 on 2): more ranks than cores",
        "slots",
    ),
    "bound together": (bound(0, 1, 1, 3), "node2 (ranks 5-6 on core 1): ", "--bind-to core"),
    "voltage": (on("node2", loaded={"throttling": 0x50005}), "node2 (under-voltage, throttled): ", "cable"),
    "heat": (on("node2", loaded={"throttling": 0x80008}), "node2 (soft temperature limit): ", "fan"),
    "heat of an x86": (
        on("node2", idle=OF_X86, loaded={"throttling": None, "throttle_events": 9}),
        "node2 (throttled): ",
        "heat sink",
    ),
    "low clock": (on("node2", loaded={"mhz": 600}), "node2 (600 MHz): ", "scaling_governor"),
    "no core of its own": (at(5, core_share=0.4), "node2 (40%): ", "end other programs there"),
    "quota": (
        on("node2", core_share=0.4, machine={"cpu_quota": ("/sys/fs/cgroup/a/cpu.max", 1.6)}),
        "node2 (40%): a rank gets only this share of a core: raise its CPU quota of 1.6 cores",
        "(/sys/fs/cgroup/a/cpu.max), or give the host fewer slots",
    ),
    "quota that is no obstacle": (
        on("node2", core_share=0.4, machine={"cpu_quota": ("/sys/fs/cgroup/a/cpu.max", 4.0)}),
        "node2 (40%): ",
        "end other programs there",
    ),
    "slow host": (on("node2", points_per_second=5e7), "node2 (50%): ", "its twins"),
    "slow rank": (at(5, points_per_second=5e7), "node2 (rank 5: 50%): ", "hyper-threading"),
}
NOTES: dict[str, tuple[Change, str, str]] = {
    "voltage earlier": (on("node2", loaded={"throttling": 0x10000}), "node2 (under-voltage): ", "not now"),
    "heat of an x86 earlier": (on("node2", idle=OF_X86, loaded=OF_X86), "node2 (throttled): ", "not now"),
    "half the clock": (every(loaded={"mhz": 600}), "node1 (600 of 1500 MHz), node2 (600", "governor"),
    "hyper-threads": (on("node2", machine={"cores": 2}), "node2 (4 on 2): ", "hyper-threading"),
    "other Python": (
        on("node4", software={"python": "3.13.1"}),
        "node4 (3.13): another Python",
        "no obstacle",
    ),
    "other numba": (on("node4", software={"numba": "0.61.0"}), "node4 (0.61.0): another numba", "0.68.1"),
    "other NumPy": (on("node4", software={"numpy": "1.26.4"}), "node4 (1.26.4): another NumPy", "2.4.6"),
    "other mpi4py": (on("node4", software={"mpi4py": "4.0.1"}), "node4 (4.0.1): another mpi4py", "4.1.2"),
    "unused core": (without(7), "node2 (1 of 4): ", "more slots"),
    "high latency": (on("node2", link={"latency_seconds": 4e-3}), "node2 (20 times): ", "Wi-Fi"),
    "low bandwidth": (on("node2", link={"bytes_per_second": 1.1e7}), "node2 (10%): ", "cable"),
    "no link": (at(4, link=None), "node2: ", "not measured"),
    "other clock": (on("node2", link={"skew_seconds": -86400.0}), "node2 (-86400.0 s): ", "set-ntp"),
    "shared address": (
        both(on("node2", machine=docker(102)), on("node3", machine=docker(103))),
        "node2 (docker0 172.17.0.1), node3 (docker0 172.17.0.1): ",
        "export OMPI_MCA_btl_tcp_if_include=eth0; MPICH: export UCX_NET_DEVICES=eth0",
    ),
    "other machine": (
        on("node2", machine={"cpu": "Raspberry Pi 5 Model B Rev 1.0"}),
        "node2 (Raspberry Pi 5 Model B, aarch64): ",
        "Raspberry Pi 4 Model B, aarch64",
    ),
    "other architecture": (on("node2", machine={"architecture": "x86_64"}), "node2 (Rasp", "follow speed"),
    "other flags": (on("node2", machine={"flags": ()}), "node2 (none): other CPU flags", "asimd"),
    "32 bits": (
        every(software={"bits": 32, "numba": None}, kernel="numpy", kernel_warning=NO_NUMBA),
        "node1, node2, node3, node4: a 32-bit system",
        "64-bit",
    ),
    "no cache": (
        on("node2", kernel_warning="compile cache not used"),
        "node2: compile cache",
        "without a cache",
    ),
}
CASES = FAULTS | NOTES
