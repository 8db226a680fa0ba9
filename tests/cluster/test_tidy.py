"""A cluster of hosts does not outlive the tests."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cluster as cluster_module
from support.cluster import CPU_GROUPS
from support.lacks import lack
from support.launching import TESTS

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
