"""A run of tests leaves nothing behind, and says what the machine lacks for those that were skipped."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cluster as cluster_module
from support import lacks
from support.cluster import CPU_GROUPS, until
from support.lacks import lack
from support.launching import TESTS, Launch

DAEMON = """
import os, subprocess, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import tidy

def work():
    place = Path(tempfile.gettempdir())
    Path("/dev/shm", "mpich_shm_" + place.name).touch()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            subprocess.run(["sleep", "1000"])
        os._exit(0)
    print(place, flush=True)
    {ends}
    return 7

sys.exit(tidy.run(work))
"""

HOSTS = """
import os, subprocess, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import tidy
from support.cluster import Cluster

def work():
    place = Path(tempfile.gettempdir())
    (place / "cluster").mkdir()
    with Cluster(place / "cluster", 2) as up:
        up.start_slurm()
        up.limit("node1", 0.5)
        print(place, flush=True)
        time.sleep(1000)

sys.exit(tidy.run(work))
"""


def begun(program: str, folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """The program, when it has begun all that it begins, and its temporary folder."""
    started = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert started.stdout
    place = Path(started.stdout.readline().strip())
    assert place.parent == folder
    return started, place


def processes(place: Path) -> dict[str, str]:
    """Whatever runs with that temporary folder: command lines by process number."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if os.fsencode(place) in file.read_bytes():
                found[file.parent.name] = (file.parent / "cmdline").read_text()
        except OSError:  # somebody else's, or it has just ended
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, None])
def test_a_daemon_does_not_outlive_the_run(tmp_path: Path, number: signal.Signals | None) -> None:
    program = DAEMON.format(tests=str(TESTS), ends="time.sleep(1000)" if number else "")
    started, place = begun(program, tmp_path)
    if number:
        shared_memory = Path("/dev/shm", f"mpich_shm_{place.name}")
        assert shared_memory.exists()
        until(lambda: "sleep\0001000\0" in processes(place).values(), "the daemon")
        started.send_signal(number)
    assert started.wait(30) == (128 + number if number else 7)
    assert not processes(place)
    assert not list(tmp_path.iterdir())
    assert not list(Path("/dev/shm").glob(f"*{place.name}"))


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for that of a socket, 107 bytes in all, and that is open to all."""
    folder = Path(tempfile.mkdtemp(prefix="tidy-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    folder.rmdir()


def test_hosts_do_not_outlive_the_run(short: Path) -> None:
    """Their processes, with sshd and Slurm, network, control group and mounts."""
    lacking = cluster_module.missing(cluster_module.PROGRAMS + cluster_module.SLURM_PROGRAMS)
    if lacking:
        lack(*lacking)
    started, place = begun(HOSTS.format(tests=str(TESTS)), short)
    commands = " ".join(processes(place).values())
    assert all(name in commands for name in ("sshd", "slurmd", "slurmctld", "munged"))
    groups = [*CPU_GROUPS.glob(f"*{place.name}*"), *CPU_GROUPS.parent.glob(f"*{place.name}*")]
    assert groups
    started.send_signal(signal.SIGTERM)
    assert started.wait(60) == 128 + signal.SIGTERM
    assert not processes(place)
    assert not list(short.iterdir())
    assert not any(group.exists() for group in groups)
    assert place.name not in Path("/proc/mounts").read_text()


def test_the_line_about_what_is_lacking() -> None:
    reasons = [
        f"Skipped: {lacks.reason(['sbatch', 'munged'])}",
        f"Failed: {lacks.reason(['/usr/sbin/sshd', lacks.ROOT_USER])}",
        f"Skipped: {lacks.reason(['sbatch'])}",
        "long; make soak runs it",
    ]
    skipped = [names for reason in reasons if (names := lacks.lacking(reason))]
    assert skipped == [["sbatch", "munged"], ["/usr/sbin/sshd", "root"], ["sbatch"]]
    assert lacks.summary(skipped, 10) == (
        "3 of 10 tests were skipped for want of slurm-client (2), munge (1), openssh-server (1), root (1)."
        " To run them: sudo apt-get install munge openssh-server slurm-client, and run make test as root"
    )
    assert lacks.summary([], 10) == ""


def test_packages_bring_what_is_looked_for(launch: Launch) -> None:
    """By what Debian itself says of those that are installed."""
    if shutil.which("dpkg") is None:
        pytest.skip("this is no Debian")
    for package, wanted in lacks.packages().items():
        files = launch(0, "dpkg", "--listfiles", package)
        if files.returncode == 0:
            for name in wanted:
                pattern = name.replace("*", "[^/]*") if "/" in name else f".*/{name}"
                here = any(re.fullmatch(pattern, file) for file in files.stdout.splitlines())
                assert here or lacks.missing([name]) == [], (package, name)


def test_what_tests_look_for_is_in_the_list_of_packages() -> None:
    wanted = {name for names in lacks.packages().values() for name in names}
    assert {*cluster_module.PROGRAMS, *cluster_module.SLURM_PROGRAMS} <= wanted
    sources = "".join(file.read_text() for file in TESTS.rglob("test_*.py"))
    named = set(re.findall(r'lack\("(\S+)"\)', sources)) | set(re.findall(r'PROGRAMS, "(\S+)"\)', sources))
    assert {"chromium", "shellcheck", "git", "nft", "tc"} <= named <= wanted
