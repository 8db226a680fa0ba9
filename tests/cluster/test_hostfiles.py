"""The hostfiles of the repository, as each mpirun reads them, and the commands of their page."""

import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import mpis
from support.cluster import Cluster, booted
from support.lacks import lack
from support.launching import BIN, ROOT
from support.mpis import Mpi
from support.references import lost

HOSTFILES = ROOT / "hostfiles"

OCTAPI = [(f"192.168.1.{n}", 4) for n in range(101, 109)]
MIXED = [("192.168.1.101", 3), *((f"192.168.1.{n}", 4) for n in range(102, 107))]

PAGE = (HOSTFILES / "README.md").read_text()
blocks = re.findall(r"^```shell\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
commands = [line for block in blocks for line in block.splitlines()]
(REWRITE,) = (command for command in commands if command.startswith("sed "))
(ONE_INTERFACE,) = (command for command in commands if command.startswith("export "))
(KEPT,) = (command for command in commands if command.startswith("mpi-pi keep-running "))

PI_ALONE = "a Raspberry Pi has it, or needs it"
OF_32_BITS = "for a system of 32 bits alone"
OVER_SSH = "cluster/test_mpis.py::test_run_on_three_hosts_over_ssh"
MAKE_DEPLOY = "cluster/test_deploy.py::test_make_deploy_works"
CHECKED = "cluster/test_check.py::test_hosts_have_a_row_each"
ELSEWHERE = {
    next(command for command in commands if "nmcli connection modify" in command): PI_ALONE,
    "sudo nmcli device reapply eth0": PI_ALONE,
    next(command for command in commands if "ssh-copy-id" in command): "asks for passwords",
    "sudo apt-get install make python3-venv": ".ci/run does so",
    "make run": "command/test_readme.py::test_command_of_the_readme_works",
    ". .venv/bin/activate": "done to each of the others",
    ONE_INTERFACE: "done to each of the others",
    "make deploy HOSTFILE=hostfiles/octapi.hosts": MAKE_DEPLOY,
    "make deploy MPI=mpich HOSTFILE=hostfiles/octapi.mpich.hosts": MAKE_DEPLOY,
    "mpirun -hostfile hostfiles/octapi.hosts mpi-pi check": CHECKED,
    "make run HOSTFILE=hostfiles/octapi.hosts TRIALS=1000000 POINTS=10000": OVER_SSH,
    "make run MPI=mpich HOSTFILE=hostfiles/octapi.mpich.hosts TRIALS=1000000 POINTS=10000": OVER_SSH,
    KEPT: "cluster/test_keep_running.py::test_host_switched_off_in_the_midst_is_left_out",
    REWRITE: "see test_hostfiles_name_the_hosts_and_slots_of_their_page",
    "sudo apt-get install openmpi-bin python3-mpi4py python3-numpy python3-tqdm": OF_32_BITS,
    "mpirun -hostfile hostfiles/octapi.hosts python3 -m mpi_pi run -i 10000 -n 1000000": OF_32_BITS,
}

# Options that show who is to run where, and start nothing. (Ranks are not bound, since the cores here are not
# those of the hosts.)
SHOW = {
    "Open MPI from PyPI": ("--display", "map", "--rtos", "donotlaunch", "--bind-to", "none"),
    "Debian's Open MPI": ("--display-map", "--do-not-launch", "--bind-to", "none"),
    # With the program `end` after it.
    "MPICH from PyPI": ("-verbose", "-launcher", "ssh", "-launcher-exec"),
    "Debian's MPICH": ("-verbose", "-launcher", "ssh", "-launcher-exec"),
}


@pytest.fixture(scope="module", params=SHOW)
def mpi(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mpi:
    try:
        return mpis.find(request.param, tmp_path_factory.mktemp("mpi"))
    except mpis.Lacking as lacking:
        lack(str(lacking))
        raise


def run(mpi: Mpi, environment: dict[str, str], *arguments: str) -> str:
    """Return the output of mpirun, with its default number of ranks on a host."""
    return subprocess.run(
        [mpi.mpirun, *arguments],
        cwd=ROOT,
        env={name: value for name, value in environment.items() if "rmaps" not in name},
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    ).stdout


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program that ends its parent if that is mpirun, and not a process that has adopted it."""
    program = tmp_path_factory.mktemp("end") / "end"
    program.write_text("#!/bin/sh\ncase $(cat /proc/$PPID/comm) in mpi*) kill $PPID ;; esac\n")
    program.chmod(0o755)
    return program


def hosts(mpi: Mpi, command: str, environment: dict[str, str], end: Path) -> list[tuple[str, int]]:
    """Return the hosts on which a command would start ranks, with the number of ranks."""
    program, *arguments = shlex.split(command)
    assert program == "mpirun"
    show = (*SHOW[mpi.name], str(end)) if mpi.is_mpich else SHOW[mpi.name]
    said = run(mpi, environment, *show, *arguments)
    pattern = (
        r"proxy: (\S+) \(\d+ cores\)\s+Exec list: \S+ \((\d+) processes\)"
        if mpi.is_mpich
        else r"Data for node: (\S+)\s[^=]*?Num procs: (\d+)"
    )
    return [(host, int(ranks)) for host, ranks in re.findall(pattern, said)]


def command_in(hostfile: Path) -> str:
    """Return the command in the first lines of a hostfile."""
    (command,) = re.findall(r"^# +(mpirun .*)$", hostfile.read_text(), re.MULTILINE)
    assert f" hostfiles/{hostfile.name} " in command
    return str(command)


def test_hostfiles_name_the_hosts_and_slots_of_their_page(
    mpi: Mpi, environment: dict[str, str], tmp_path: Path, end: Path
) -> None:
    if mpi.is_mpich:
        octapi = command_in(HOSTFILES / "octapi.mpich.hosts")
        (tmp_path / "hostfiles").symlink_to(HOSTFILES)
        subprocess.run(REWRITE, shell=True, cwd=tmp_path, check=True, timeout=30)  # noqa: S602  # as on the page
        mixed = f"mpirun -f {tmp_path / 'mixed.mpich.hosts'} mpi-pi run"
    else:
        octapi = command_in(HOSTFILES / "octapi.hosts")
        mixed = command_in(HOSTFILES / "mixed.hosts")
    assert hosts(mpi, octapi, environment, end) == OCTAPI
    assert hosts(mpi, mixed, environment, end) == MIXED


def test_localhost_hostfile_starts_ranks_on_this_machine_alone(mpi: Mpi, environment: dict[str, str]) -> None:
    command = command_in(HOSTFILES / "localhost.hosts").partition(" mpi-pi ")[0]
    said = run(mpi, environment, *command.split()[1:], "hostname")
    assert set(said.split()) == {socket.gethostname()}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(nodes=2) as up:
        yield up


@pytest.fixture(scope="module")
def reader(cluster: Cluster) -> Path:
    """Return the folder of a reader of the page who has two of the eight hosts, with a slot on each."""
    folder = cluster.folder / "reader"
    (folder / "hostfiles").mkdir(parents=True)
    lines = (HOSTFILES / "octapi.hosts").read_text().splitlines()
    there = [line for line in lines if line.split()[0] in cluster.addresses.values()]
    (folder / "hostfiles" / "octapi.hosts").write_text("\n".join(there).replace("slots=4", "slots=1") + "\n")
    for name in ("Makefile", "pyproject.toml", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_commands_were_found() -> None:
    assert lost(ELSEWHERE.values()) == []
    assert len(set(commands) - set(ELSEWHERE)) == 3
    assert set(ELSEWHERE) <= set(commands)


@pytest.mark.parametrize("command", [command for command in commands if command not in ELSEWHERE])
def test_command_of_the_page_works(
    command: str, cluster: Cluster, reader: Path, environment: dict[str, str]
) -> None:
    if BIN != ROOT / ".venv" / "bin" or not (BIN.parent / "installed").exists():
        pytest.skip("no .venv here: make would take minutes to make one")
    settings = {name: value for name, value in environment.items() if "rmaps" not in name}
    # The cores of the hosts are the same ones.
    settings |= {"PRTE_MCA_hwloc_default_binding_policy": "none"}
    run = cluster.run(
        "client",
        *["sh", "-c", f"cd {reader} && . .venv/bin/activate && {ONE_INTERFACE} && {command}"],
        env=settings,
    )
    assert run.returncode == 0, run.stderr
    if "check-hosts" in command:
        assert "Ready = 2 of 2 hosts" in run.stdout
    if " mpi-pi run " in command:
        assert "Ranks = 2 on 2 hosts" in run.stdout
        assert re.search(r"^pi = 4\*\(\d+/10000000000\) = ", run.stdout, re.MULTILINE)
        assert "Verification = SUCCESSFUL" in run.stdout
