"""`mpi-pi check-hosts` on hosts that each have another obstacle to a job."""

import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from mpi_pi.model.job import Job
from mpi_pi.version import STREAM_VERSION
from support.cluster import Cluster, booted, mount
from support.counting import hits
from support.launching import MPI_PI, MPIRUN, ROOT, is_hydra

HYDRA = is_hydra()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(11, "nft") as up:
        break_things(up)
        yield up


def break_things(cluster: Cluster) -> None:
    """Share the project with all hosts, and give most of them a fault of their own."""
    folder = cluster.folder
    package = folder / "mpi_pi"
    shutil.copytree(ROOT / "mpi_pi", package)
    for name in cluster.addresses:  # as it is now: it may be edited while the tests run
        mount(cluster, name, "--bind", package, ROOT / "mpi_pi")
    for name in ("node1", "node2"):  # as Docker does
        for command in (
            "link add docker0 type bridge",
            "addr add 172.17.0.1/16 dev docker0",
            "link set docker0 up",
        ):
            assert cluster.run(name, "ip", *command.split()).returncode == 0
    rules = folder / "rules"
    rules.write_text(
        textwrap.dedent("""\
            table inet firewall {
                chain input {
                    type filter hook input priority 0; policy drop;
                    iif lo accept
                    ct state established,related accept
                    tcp dport { 22, 50000-50499 } accept
                }
            }
            """)
    )
    closed = "echo 32768 49999 >/proc/sys/net/ipv4/ip_local_port_range"
    for name in ("client", "node3"):
        assert cluster.run(name, "nft", "-f", str(rules)).returncode == 0
        # The firewall has to be in the way of a port of the system's choice.
        assert cluster.run(name, "sh", "-c", closed).returncode == 0
    (folder / "empty").mkdir()
    mount(cluster, "node4", "--bind", folder / "empty", sys.prefix)
    for name, module, old, new in (
        ("node5", "formatting.py", '"""', '"""Edited. '),
        ("node6", "version.py", "STREAM_VERSION = ", "STREAM_VERSION = 9"),
    ):
        edited = folder / module
        edited.write_text((package / module).read_text().replace(old, new, 1))
        mount(cluster, name, "--bind", edited, ROOT / "mpi_pi" / module)
    other = folder / "mpirun"
    other.write_text('#!/bin/sh\necho "mpirun (Open MPI) 3.1.6"\n')
    other.chmod(0o755)
    mount(cluster, "node7", "--bind", other, os.path.realpath(MPIRUN))
    mount(cluster, "node8", "--bind", "/dev/null", folder / "authorized_keys")
    known_hosts = folder / "dot-ssh" / "known_hosts"
    keys = known_hosts.read_text().splitlines()
    another = (folder / "dot-ssh" / "id_ed25519.pub").read_text()
    keys = [f"node9,192.168.1.109 {another}" if key.startswith("node9,") else key for key in keys]
    known_hosts.write_text("".join(f"{key}\n" for key in keys if not key.startswith("node10,")))
    cluster.power_off("node11")


def check(cluster: Cluster, *lines: str, **variables: str) -> Any:
    file = cluster.folder / "octapi.hosts"
    file.write_text("".join(f"{line}\n" for line in lines))
    return cluster.run("client", MPI_PI, "check-hosts", str(file), env=os.environ | variables)


@pytest.fixture(scope="module")
def checked(cluster: Cluster) -> Any:
    return check(
        cluster,
        "# an OctaPi with a lot of trouble",
        *(f"192.168.1.{100 + i}{':4' if HYDRA else ' slots=4'}" for i in range(1, 12)),
        "node2" if HYDRA else "node2 port=2222",
        "node1",
        "nowhere",
        "localhost",
    )


def test_each_host_fails_for_its_own_reason(checked: Any, cluster: Cluster) -> None:
    install = f"make deploy HOSTFILE={cluster.folder}/octapi.hosts"
    assert checked.returncode == 1
    assert checked.stderr == ""
    for number, problem in (
        ("103", "its TCP ports 102\\d, \\d+ cannot be reached from 192.168.1.101 \\(no answer\\), .*client"),
        ("104", f"{sys.prefix} is not in order \\(it has no bin/mpi-pi\\): {install}"),
        ("105", f"its mpi_pi was made from other sources than the client's: {install}"),
        ("106", f"its stream version is 9{STREAM_VERSION}, and the client's {STREAM_VERSION}: {install}"),
        ("107", "its MPI is Open MPI 3.1.6, and the client's .*: they have to be the same"),
        ("108", "ssh does not let us in without a password: ssh-copy-id 192.168.1.108"),
        (
            "109",
            "its host key is not the one that was known.* ssh-keygen -R 192.168.1.109, then ssh 192.168",
        ),
        ("110", "its host key is not known yet: ssh 192.168.1.110 once"),
        ("111", "no answer: is it switched on, and on this network\\? ping -c 3 192.168.1.111"),
    ):
        assert re.search(f"^192.168.1.{number}: {problem}", checked.stdout, re.MULTILINE), problem
    assert re.search(
        "^client: its TCP ports? .* cannot be reached from 192.168.1.101 ", checked.stdout, re.MULTILINE
    )
    assert "\nnode2: node2 is on, but takes no ssh connections: on it, " in checked.stdout
    assert "\nnowhere: the name nowhere is not known here: " in checked.stdout
    assert "\nnode1: note: that is 192.168.1.101 (192.168.1.101) once more" in checked.stdout
    rows = re.findall(r"^([^\s:]+) .* (yes|NO)$", checked.stdout, re.MULTILINE)
    assert [host for host, ready in rows if ready == "yes"] == [
        "192.168.1.101",
        "192.168.1.102",
        "node1",
        "localhost",
    ]
    assert checked.stdout.endswith("\nReady = 4 of 15 hosts\n")


def test_address_that_several_hosts_have_is_named(checked: Any) -> None:
    """Open MPI would take the bridge of Docker for a link between the hosts."""
    told = "client: 192.168.1.101, 192.168.1.102 have the same address (docker0, 172.17.0.1)"
    cure = r"export OMPI_MCA_btl_tcp_if_include=eth0 \w+_if_include=eth0$"
    assert (told in checked.stdout) != HYDRA
    assert bool(re.search(cure, checked.stdout, re.MULTILINE)) != HYDRA


def test_ports_that_the_report_proposes_get_through_the_firewall(
    checked: Any, cluster: Cluster, environment: dict[str, str]
) -> None:
    (proposed,) = re.findall(r"^  export (.*)$", checked.stdout, re.MULTILINE)
    settings = dict(setting.split("=") for setting in proposed.split())
    settings |= {
        "OMPI_MCA_btl_tcp_if_include": "192.168.1.0/24",
        "OMPI_MCA_oob_tcp_if_include": "192.168.1.0/24",
        "PRTE_MCA_prte_if_include": "192.168.1.0/24",
    }
    lines = [f"192.168.1.{number}{':1' if HYDRA else ' slots=1'}" for number in (101, 103)]
    again = check(cluster, *lines, **settings)
    assert again.returncode == 0, again.stdout
    run = cluster.run(
        "client",
        *[MPIRUN, "-f" if HYDRA else "-hostfile", str(cluster.folder / "octapi.hosts"), "-n", "2"],
        *[MPI_PI, "run", "-i", "10000", "-n", "500", "--seed", "6"],
        env={name: value for name, value in environment.items() if "rmaps" not in name}
        | settings
        | {"PRTE_MCA_hwloc_default_binding_policy": "none"},
    )
    assert run.returncode == 0, run.stderr
    assert f"pi = 4*({hits(Job(500, 10_000, 6))}/5000000)" in run.stdout
    assert "Ranks = 2 on 2 hosts" in run.stdout


def test_path_with_blanks_is_told(cluster: Cluster) -> None:
    """Open MPI itself would not tell the reason."""
    if HYDRA:
        pytest.skip("Hydra takes such paths")
    folder = cluster.folder / "My Docs"
    folder.mkdir()
    mpirun = folder / "mpirun"
    mpirun.write_text(f'#!/bin/sh\nexec {shlex.quote(MPIRUN)} "$@"\n')
    mpirun.chmod(0o755)
    file = cluster.folder / "two.hosts"
    file.write_text("node1 slots=1\n")
    run = cluster.run("client", MPI_PI, "check-hosts", "--mpirun", str(mpirun), str(file))
    assert run.returncode == 1
    assert (
        f"client: Open MPI starts nothing on other hosts from a path with ' ' in it, {mpirun}" in run.stdout
    )
