"""`mpi-pi burn-in` on several hosts, some of which have faults."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support import sensors
from support.cluster import Cluster, booted, until
from support.faults import Fault, Faults, impatience
from support.launching import MPIRUN, SETTINGS
from support.schemas import BURN_IN as SCHEMA
from support.sensors import FIRMWARE, INTEL, PI


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(3) as up:
        lines = "".join(f"{up.addresses[name]} slots=1\n" for name in up.nodes)
        (up.folder / "hosts.txt").write_text(lines)
        yield up


def command(cluster: Cluster, program: str, *arguments: str) -> list[str]:
    return [MPIRUN, "-hostfile", str(cluster.folder / "hosts.txt"), program, "burn-in", *arguments]


def plain() -> dict[str, str]:
    """Return a user's environment, without the settings for more ranks than cores."""
    return {name: value for name, value in (os.environ | SETTINGS).items() if "rmaps" not in name}


def read(file: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(file.read_text())
    jsonschema.validate(made, SCHEMA)
    return made


def said_of(made: dict[str, Any], host: str) -> str:
    return "\n".join(found["text"] for found in made["findings"] if host in found["hosts"])


def test_faults_of_each_host_are_told_apart(cluster: Cluster, faults: Faults, tmp_path: Path) -> None:
    """By its sensors node1 is throttled, and node3 has too low a voltage; node2 counts some units wrong."""
    device = "sys/class/thermal/cooling_device0/cur_state"
    for name, files in (
        ("node1", INTEL | {device: 1}),
        ("node2", INTEL),
        ("node3", PI | {FIRMWARE: "10001"}),
    ):
        sensors.write(cluster.folder / f"tmp.{name}" / "sensors", files)
    program = faults.program(
        Fault("wrong in one unit in fifty", "nothing", rank=1),
        values={"system.sensors:ROOT": "/var/tmp/sensors"},
    )
    file = tmp_path / "o.json"
    run = cluster.run("client", *command(cluster, program, "4s", "--json", str(file)), env=plain())
    made = read(file)
    assert run.returncode == 1
    assert [host["host"] for host in made["hosts"]] == cluster.nodes
    assert re.search(
        r"^all cores: node1 \(for \d\.\d of \d\.\d s, at 74 C\): the CPU was", said_of(made, "node1"), re.M
    )
    assert "counted wrong" not in said_of(made, "node1") + said_of(made, "node3")
    assert re.search(
        r"^all cores: node2 \(rank 1 on core.*: \d+ of \d+ units\): counted wrong",
        said_of(made, "node2"),
        re.M,
    )
    assert "the voltage was too low" not in said_of(made, "node1") + said_of(made, "node2")
    assert "all cores: node3: the voltage was too low" in said_of(made, "node3")
    assert "error: host node2: rank 1, core" in run.stderr
    rows = re.findall(r"^(node\d) +1 +.* (\d+)$", run.stdout, re.MULTILINE)
    assert rows[0][0] == "node2"  # the worst
    assert int(rows[0][1]) > 0
    assert sorted(name for name, _ in rows) == cluster.nodes
    temperatures = [host["samples"]["celsius"][0] for host in made["phases"][0]["hosts"]]
    assert temperatures == [73.5, 73.5, 61.322]


def test_host_that_is_out_of_reach_ends_it_with_a_report(
    cluster: Cluster, faults: Faults, tmp_path: Path
) -> None:
    """The client still reaches it by ssh, so mpirun notices nothing."""
    file, log = tmp_path / "o.json", tmp_path / "log"
    program = faults.program(Fault("before the first round", "nothing", rank=0), values=impatience(0.5, 4.0))
    way = ["blackhole", f"{cluster.addresses['node1']}/32"]
    words = command(cluster, program, "60s", "--json", str(file))
    with (
        log.open("w") as out,
        subprocess.Popen(cluster.command("client", *words), stdout=out, stderr=out, env=plain()) as process,
    ):
        try:
            until(lambda: list(faults.last.glob("hit-0-*")), "the first round")
            cluster.run("node2", "ip", "route", "add", *way)
            status = process.wait(timeout=60)
        finally:
            process.kill()
            cluster.run("node2", "ip", "route", "del", *way)
    said = log.read_text()
    assert status == 1, said
    made = read(file)
    silent = "host node2 has been silent for 4 s, with rank 1"
    assert made["lost"] == silent
    assert f"fault: {silent}: it hung, or switched itself off, under this load" in said
    assert "\nBurn-in = failed, " in said
