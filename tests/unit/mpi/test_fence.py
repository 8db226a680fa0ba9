"""A process that stood still is ended, and one that only waited for long is not."""

import signal
import subprocess
import sys
import time

PROGRAM = """
import os, time
from mpi_pi.mpi import fence
def end(why):
    print(why, flush=True)
    os._exit(7)
fence.put_up(1.0, end)
with fence.kept_up():
    print("within", flush=True)
    time.sleep(2.0)
print("after", flush=True)
"""


def started() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "within\n"
    return process


def test_process_that_was_stopped_in_a_long_call_ends() -> None:
    process = started()
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 7
    assert said.startswith("stood still for ")
    assert "after" not in said


def test_long_call_alone_does_not_end_the_process() -> None:
    process = started()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said == "after\n"
