"""`mpi-pi check --baseline` on hosts whose network has become slower."""

import json
import re
from pathlib import Path
from typing import Any

from support.cluster import Cluster, booted
from support.faults import Faults
from support.launching import MPIRUN, plain

BUSY_OR_NOT: dict[str, float] = {"check.changes:MIN_OWN_CORE": 0.0}
"""Lets links be judged whatever else this machine does: they become a hundred times as slow here."""


def check(cluster: Cluster, program: str, *options: str) -> Any:
    file = cluster.folder / "hosts.txt"
    file.write_text("".join(f"{cluster.addresses[name]} slots=1\n" for name in cluster.nodes))
    return cluster.run("client", MPIRUN, "-hostfile", str(file), program, "check", *options, env=plain())


def test_link_that_has_become_slower_is_a_fault(faults: Faults, tmp_path: Path) -> None:
    """Test a bandwidth of 2 Mbit/s, and then, among hosts of the same names, a latency of 50 ms."""
    good = tmp_path / "good.json"
    with booted(2, "tc") as cluster:
        program = faults.program(values=BUSY_OR_NOT)  # where it can be run: all programs have to be
        check(cluster, program, "--json", str(good))
        slow = "tc qdisc add dev eth0 root tbf rate 2mbit burst 16kb latency 200ms"
        assert cluster.run("node2", *slow.split()).returncode == 0
        run = check(cluster, program, "--baseline", str(good))
        assert run.returncode == 1
        day = json.loads(good.read_text())["date"][:10]
        rates = r"\(0\.\d+ of [0-9.e+]+ MB/s\)"
        assert re.search(
            rf"^fault: node2 {rates}: a lower bandwidth to rank 0 than on {day}: ", run.stdout, re.M
        )
        (first,) = re.findall(r"^host +measured .*\n(.*)\n", run.stdout, re.M)
        assert first.startswith("node2  MB/s ")
        assert "Baseline = " in run.stdout
        assert ", 2 of 2 hosts\n" in run.stdout
    with booted(2, delay_seconds=0.05) as cluster:
        run = check(cluster, program, "--baseline", str(good))
        assert run.returncode == 1
        times = r"\(\d+ after \d+ us\)"
        assert re.search(
            rf"^fault: node2 {times}: a higher latency to rank 0 than on {day}: ", run.stdout, re.M
        )
