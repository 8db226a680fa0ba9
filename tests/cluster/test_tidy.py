"""Clean-up of a cluster of hosts at the end of a test run."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import CPU_GROUPS, SLURM_PROGRAMS, require
from support.launching import TESTS
from support.processes import begun, processes

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


@pytest.fixture
def short() -> Iterator[Path]:
    """Yield a folder open to all users, short enough for the path of a socket, at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="tidy-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    folder.rmdir()


def test_hosts_do_not_outlive_the_run(short: Path) -> None:
    """Processes (sshd, Slurm), network, control groups and mounts are gone."""
    require(*SLURM_PROGRAMS)
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
