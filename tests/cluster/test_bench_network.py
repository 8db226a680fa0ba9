"""`mpi-pi bench latency --pairs` between hosts, whose network is slow, far away, or cut."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support.cluster import Cluster, booted
from support.faults import Faults
from support.launching import soak
from support.mpis import Mpi, on_all_hosts
from support.schemas import BENCH as SCHEMA

SHORT: dict[str, float] = {
    "bench.manager:QUICK_TURNS": 1,
    "bench.rounds:QUICK(rounds_seconds)": 0.1,
    "bench.network:QUICK_LINKS(seconds_each)": 0.2,
    "bench.network:QUICK_LINKS(turns)": 3,
}
"""Values with which the cost of rounds is measured in no time, and the network quickly."""
ALL_SIZES: dict[str, float] = {
    f"bench.network:QUICK_{links}({limit})": 1e3
    for links in ("LINKS", "PAIRS")
    for limit in ("max_seconds", "max_seconds_each")
}
"""Values with which no message is left out, however busy the machine is."""

CABLE = ("tc", "qdisc", "add", "dev", "eth0", "root")
SLOW = ("tbf", "rate", "100mbit", "burst", "64kb", "latency", "200ms")
MAX_BYTES_PER_SECOND = 100e6 / 8
DELAY_SECONDS = 0.01


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(3, "tc") as up:
        yield up


@pytest.fixture
def plain(environment: dict[str, str]) -> dict[str, str]:
    return on_all_hosts(environment)


def measured(cluster: Cluster, mpi: Mpi, program: str, environ: dict[str, str], *options: str) -> Any:
    """Run a benchmark of the network of all nodes; return the run and its document."""
    hostfile, file = cluster.folder / "hostfile", cluster.folder / "bench.json"
    hostfile.write_text(mpi.hostfile({cluster.addresses[name]: 1 for name in cluster.nodes}))
    launch = [mpi.mpirun, "-f" if mpi.is_mpich else "-hostfile", str(hostfile)]
    command = [*launch, program, "bench", "latency", *options, "--json", str(file)]
    run = cluster.run("client", *command, env=environ, timeout=240)
    made = json.loads(Path(file).read_text())
    jsonschema.validate(made, SCHEMA)
    return run, made


def rows(links: list[dict[str, Any]], sender: str, receiver: str) -> dict[int, dict[str, Any]]:
    (link,) = (link for link in links if link["hosts"] == [sender, receiver])
    return {row["bytes"]: row for row in link["rows"]}


def test_slow_cable_is_measured_and_named(
    cluster: Cluster, open_mpi: Mpi, faults: Faults, plain: dict[str, str]
) -> None:
    require_slow_cable(cluster, open_mpi, faults, plain)


@soak
def test_slow_cable_is_measured_with_every_mpi(
    cluster: Cluster, mpi: Mpi, faults: Faults, plain: dict[str, str]
) -> None:
    require_slow_cable(cluster, mpi, faults, plain)


def require_slow_cable(cluster: Cluster, mpi: Mpi, faults: Faults, plain: dict[str, str]) -> None:
    """Measure while what node1 sends is limited to 100 Mbit/s."""
    assert cluster.run("node1", *CABLE, *SLOW).returncode == 0
    program = faults.program(values=SHORT | ALL_SIZES, python=mpi.python)
    try:
        run, made = measured(cluster, mpi, program, plain, "--pairs")
    finally:
        cluster.run("node1", "tc", "qdisc", "del", "dev", "eth0", "root")
    assert run.returncode == 0, run.stderr
    section = made["network"]
    assert [link["hosts"] for link in section["links"]] == [["node1", "node2"], ["node1", "node3"]]
    for link in section["links"]:
        largest = link["rows"][-1]
        assert largest["bytes"] == 1 << 22
        assert largest["bytes_per_second"]["high"] <= 1.05 * MAX_BYTES_PER_SECOND
        # There by the slow cable, and back by the other one.
        assert largest["latency_seconds"]["low"] >= (1 << 22) / MAX_BYTES_PER_SECOND / 2 / 1.05
    pairs = section["pairs"]["links"]
    assert sorted(link["hosts"] for link in pairs) == [
        [*pair] for pair in itertools.permutations(cluster.nodes, 2)
    ]
    for receiver in ("node2", "node3"):
        slow = rows(pairs, "node1", receiver)[1 << 20]["bytes_per_second"]["high"]
        assert slow <= 1.05 * MAX_BYTES_PER_SECOND
    picture = cluster.folder / "network.png"
    plotted = cluster.run("client", program, "plot", str(cluster.folder / "bench.json"), "-o", str(picture))
    assert plotted.returncode == 0, plotted.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    (said,) = re.findall(r"^Pair of least bandwidth = node1 → node[23]: (\S+) times the", run.stdout, re.M)
    assert float(said) < 0.9
    assert re.search(r"^# Size: Latency \(us\) +node2 +node3$", run.stdout, re.M)


def test_hosts_that_do_not_reach_each_other_are_named(
    cluster: Cluster, open_mpi: Mpi, faults: Faults, plain: dict[str, str]
) -> None:
    """Packets from node2 to node3, and back, go to a hardware address that nobody has."""
    wrong = ("lladdr", "02:00:00:00:00:ff", "dev", "eth0", "nud", "permanent")
    ends = [(one, cluster.addresses[other]) for one, other in itertools.permutations(("node2", "node3"))]
    for host, address in ends:
        assert cluster.run(host, "ip", "neigh", "replace", address, *wrong).returncode == 0
    program = faults.program(
        values={"bench.network:QUICK_LINKS(seconds_each)": 0.2, "mpi.message_times:SILENCE_SECONDS": 4.0},
        python=open_mpi.python,
    )
    try:
        run, made = measured(cluster, open_mpi, program, plain, "--pairs")
    finally:
        for host, address in ends:
            cluster.run(host, "ip", "neigh", "del", address, "dev", "eth0")
    assert run.returncode == 1
    complaint = "error: no message comes through between rank 1 on host node2 and rank 2 on host node3"
    assert run.stderr.count(complaint) == 1
    pairs = made["network"]["pairs"]["links"]
    assert [link["hosts"] for link in pairs if link["silent"]] == [["node2", "node3"], ["node3", "node2"]]
    assert all(link["rows"] for link in pairs if "node1" in link["hosts"])
    assert made["round"] is None
    assert "\nSilent = node2 – node3: no message comes through\n" in run.stdout


def test_delay_of_the_network_is_in_the_latency(open_mpi: Mpi, faults: Faults, plain: dict[str, str]) -> None:
    with booted(2, delay_seconds=DELAY_SECONDS) as far:
        program = faults.program(values=SHORT, python=open_mpi.python)
        run, made = measured(far, open_mpi, program, plain)
        assert run.returncode == 0, run.stderr
        (link,) = made["network"]["links"]
        assert link["rows"][0]["bytes"] == 1
        for row in link["rows"]:
            assert row["latency_seconds"]["low"] >= DELAY_SECONDS
        assert made["network"]["pairs"] is None
