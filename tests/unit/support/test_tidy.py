"""Clean-up at the end of a test run, also after a signal."""

import signal
from pathlib import Path

import pytest

from support.cluster import until
from support.launching import TESTS
from support.processes import begun, processes

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, None])
def test_daemon_does_not_outlive_the_run(tmp_path: Path, number: signal.Signals | None) -> None:
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
