"""Hostfiles, and what keeps a job from starting on hosts, found out on real ones (see cluster.py)."""

import contextlib
import os
import re
import shlex
import shutil
import string
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.cluster import hostfile, ports, preflight
from mpi_pi.cluster.agent.environment import launcher as launcher_at
from mpi_pi.cluster.host import Host
from mpi_pi.cluster.hostfile import HostfileError, parse
from mpi_pi.model.job import Job
from mpi_pi.version import STREAM_VERSION
from support import cluster as cluster_module
from support.cluster import Cluster, mount
from support.counting import hits
from support.lacks import lack
from support.launching import MPI_PI, MPIRUN, ROOT, is_hydra

labels = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
names = st.one_of(st.ip_addresses(v=4).map(str), labels, st.builds("{}-{}.{}".format, labels, labels, labels))
users = st.sampled_from(["", "pi", "student_1"])
hosts = st.builds(Host, names, users)
blanks = st.text(" \t", max_size=3)
comments = st.sampled_from(["", "# a comment", "#", "# slots=4 node9:4"])

HYDRA = is_hydra()


@given(st.lists(hosts), st.sampled_from(["Open MPI 5.0.11", "MPICH 5.0.2"]), st.data())
def test_hosts_are_read_as_open_mpi_and_as_mpich_have_them(
    wanted: list[Host], launcher: str, data: st.DataObject
) -> None:
    lines, mpich = [], "MPICH" in launcher
    short: set[str] = set()
    for host in wanted:
        name = host.name if re.fullmatch(r"[\d.]+", host.name) else host.name.partition(".")[0]
        again = name in short
        short.add(name)
        settings = data.draw(
            st.sampled_from(
                ["", ":4", ":2 binding=user:1"] if mpich else ["", " slots=4", " slots = 2 max_slots=8"]
            )
        )
        before, after = data.draw(blanks), data.draw(blanks)
        comment = "" if mpich else data.draw(comments)
        lines.append(f"{before}{host.destination}{'' if again else settings}{after}{comment}")
        lines.append(data.draw(blanks) + data.draw(comments))
    found = parse("\n".join([*lines, ""]), launcher).hosts
    assert [host.destination for host in found] == [host.destination for host in dict.fromkeys(wanted)]


@given(st.text(), st.sampled_from(["Open MPI 5.0.11", "Open MPI 4.1.4", "MPICH 4.0.2", "MPICH 5.0.2", ""]))
def test_what_is_no_hostfile_never_becomes_an_option_of_ssh(text: str, launcher: str) -> None:
    with contextlib.suppress(ValueError):
        for host in parse(text, launcher).hosts:
            assert not host.destination.startswith("-")
            assert not re.search(r"[^\w.:@-]", host.destination, re.ASCII)


def test_settings_that_matter_to_ssh() -> None:
    text = "node1 slots=2 username=pi\nann@node3 port = 2222 slots=1\n::1 slots=1"
    assert parse(text, "Open MPI 5.0.11").hosts == [
        Host("node1", "pi"),
        Host("node3", "ann", 2222),
        Host("::1"),
    ]
    assert parse("node2:4 user=ann\nbob@node4\n", "MPICH 5.0.2").hosts == [
        Host("node2", "ann"),
        Host("node4", "bob"),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"node1\n-oProxyCommand=true\n", "line 2: '-oProxyCommand' is not a host, such as"),
        (b"node1 4=\n", "line 1: '=' is not a setting, such as slots=4"),
        (b"\n\nnode1 slots=\n", "line 3: 'slots=': slots wants a number, such as slots=4"),
        (b"node1 port=ssh\n", "line 1: 'port=ssh': port wants a number"),
        (b"node1 port=65536\n", "line 1: port=65536 is not a TCP port"),
        (b"node1 username=-l\n", "line 1: '-l' is not the name of a user"),
        (b"# nobody\n\n", "names no hosts"),
        (b"\xff\xfe\x00node1", "not a text file"),
        (None, "No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_hostfile_is_told(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "hosts"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(HostfileError, match=f"^{re.escape(f'{str(file)!r}: {problem}')}"):
        hostfile.read(str(file), "Open MPI 5.0.11")


@pytest.mark.parametrize("command", ["check-hosts", "deploy"])
def test_a_bad_hostfile_is_bad_usage(command: str) -> None:
    run = subprocess.run(
        [MPI_PI, command, "no/such/file"], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 2
    assert run.stderr == "mpi-pi: error: argument HOSTFILE: 'no/such/file': No such file or directory\n"
    assert run.stdout == ""


def test_mpirun_reads_the_same_hosts(tmp_path: Path, environment: dict[str, str]) -> None:
    """The launcher of the tests is asked, without that anything is started."""
    file, agent, said = tmp_path / "hosts", tmp_path / "agent", tmp_path / "said"
    if HYDRA:
        agent.write_text(f'#!/bin/sh\necho "    $2: slots=" >> {said}\nexit 1\n')
        agent.chmod(0o755)
        file.write_text("# hosts\nnode1:2\nnode2:3 binding=none\n\n 10.1.2.3\nnode1:1\n")
        options = ["-f", str(file), "-launcher", "ssh", "-launcher-exec", str(agent)]
    else:
        file.write_text(
            "# hosts\nnode1 slots=2\nnode2   slots = 3 max_slots=4\n\n 10.1.2.3 # the last\nnode1\n"
        )
        version = subprocess.run([MPIRUN, "--version"], capture_output=True, text=True, check=True).stdout
        display = ["--display-map"] if ") 4." in version else ["--display", "allocation"]
        options = ["-hostfile", str(file), *display, "--do-not-launch"]
    run = subprocess.run(
        [MPIRUN, *options, "-n", "7", "true"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    told = said.read_text() if said.exists() else run.stdout
    found = re.findall(r"^ (?:   (?=.*: slots)|Data for node: )([\w.]+)", told, re.MULTILINE)
    read = hostfile.read(str(file), launcher_at(Path(sys.prefix)))
    assert list(dict.fromkeys(found)) == [host.name for host in read.hosts]


@pytest.mark.parametrize(
    ("launcher", "variables", "ranges"),
    [
        ("Open MPI 5.0.11", "", ((0, 0), (1024, 65534))),
        ("Open MPI 5.0.11", ports.FEWER_PORTS["Open MPI"], ((50000, 50009), (50100, 50499))),
        ("Open MPI 4.1.4", ports.FEWER_PORTS["Open MPI 4"], ((50000, 50009), (50100, 50499))),
        ("MPICH 5.0.2", "", ((0, 0), (0, 0))),
        ("MPICH 5.0.2", ports.FEWER_PORTS["MPICH"], ((50000, 50009), (50100, 50499))),
    ],
)
def test_the_ports_that_a_launcher_is_told_to_use(launcher: str, variables: str, ranges: Any) -> None:
    environ = dict(variable.split("=") for variable in variables.split())
    assert ports.port_ranges(launcher, environ) == ranges


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lacking = cluster_module.missing((*cluster_module.PROGRAMS, "nft"))
    if lacking:
        lack(*lacking)
    with (
        tempfile.TemporaryDirectory(prefix="mpi-pi-hosts-") as folder,
        Cluster(Path(folder), nodes=11) as up,
    ):
        break_things(up)
        yield up


def break_things(cluster: Cluster) -> None:
    """The hosts have the project by a shared file system; and most of them something of their own."""
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
    for name in ("client", "node3"):
        assert cluster.run(name, "nft", "-f", str(rules)).returncode == 0
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


def test_an_address_that_several_hosts_have_is_named(checked: Any) -> None:
    """Open MPI would take the bridge of Docker for a way from one host to the other."""
    told = "client: 192.168.1.101, 192.168.1.102 have the same address (docker0, 172.17.0.1)"
    cure = r"export OMPI_MCA_btl_tcp_if_include=eth0 \w+_if_include=eth0$"
    assert (told in checked.stdout) != HYDRA
    assert bool(re.search(cure, checked.stdout, re.MULTILINE)) != HYDRA


def test_the_ports_that_the_report_proposes_get_through_the_firewall(
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


@pytest.mark.parametrize(
    ("launcher", "mpirun", "problem"),
    [
        ("Open MPI 5.0.11", "/home/ü/mpi-pi_2/.venv/bin/mpirun", False),
        ("Open MPI 5.0.11", "/home/me/My Docs/mpi_pi/.venv/bin/mpirun", True),
        ("Open MPI 5.0.11", "/home/me/it's/.venv/bin/mpirun", True),
        ("Open MPI 4.1.4", "/home/me/a&b/.venv/bin/mpirun", True),
        ("Open MPI 4.1.4", "mpirun.openmpi", False),
        ("MPICH 5.0.2", "/home/me/My Docs/mpi_pi/.venv-mpich/bin/mpirun", False),
    ],
)
def test_paths_from_which_open_mpi_starts_nothing_on_other_hosts(
    launcher: str, mpirun: str, problem: bool
) -> None:
    assert bool(list(preflight._unsafe_path(launcher, mpirun))) == problem


def test_a_path_with_blanks_is_told(cluster: Cluster) -> None:
    """And why mpirun itself would not do it."""
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
