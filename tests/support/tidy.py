"""A test run that leaves nothing behind on the machine, however it ends."""

import contextlib
import ctypes
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import psutil

from support.cluster import CPU_GROUPS

PR_SET_CHILD_SUBREAPER = 36  # see prctl(2)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LIMIT_SECONDS = 30.0
SHARED_MEMORY = ("mpich_shm_*", "sm_segment.*", "vader_segment.*", "osc_*")
"""What MPIs leave of ranks that were killed, in /dev/shm."""


def run(work: Callable[[], int]) -> int:
    """Do the work in a process of its own, with a temporary folder; return its exit status.

    When it is done, and on SIGTERM, SIGINT or SIGHUP, all processes that have come of it are ended, with
    daemons, and what they held is removed. A signal N makes that 128 + N.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans become children of this process
    for number in SIGNALS:
        signal.signal(number, _stop)
    try:
        with _folder() as folder, _shared_memory_freed(), _groups_removed(folder), _processes_ended():
            return _wait_for(_fork(work))
    except KeyboardInterrupt as stopped:
        number = signal.Signals(stopped.args[0])
        print(f"stopped by {number.name}; nothing is left running", file=sys.stderr, flush=True)
        return 128 + number


def _stop(number: int, _frame: object) -> NoReturn:
    for other in SIGNALS:  # from now on it is tidied up
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def _fork(work: Callable[[], int]) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        status = work()
    except BaseException:  # nothing of the parent's may be done here, too
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait_for(child: int) -> int:
    """Wait for the child, and meanwhile for the orphans that have come to us; its status."""
    while True:
        process, status = os.wait()
        if process == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder for the temporary files of this process and of all that it starts."""
    # Some of it takes no blanks.
    place = "/tmp" if re.search(r"\s", tempfile.gettempdir()) else None
    with tempfile.TemporaryDirectory(prefix="mpi-pi-tests-", dir=place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # munge wants its socket in reach of all
        # What a killed mpirun leaves behind keeps others of the same process number from starting.
        os.environ["TMPDIR"] = tempfile.tempdir = name
        yield folder


@contextlib.contextmanager
def _processes_ended() -> Iterator[None]:
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        end, own = time.monotonic() + LIMIT_SECONDS, psutil.Process()
        while (left := own.children(recursive=True)) and time.monotonic() < end:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()  # the first process of a namespace takes all others there along
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass
            time.sleep(0.01)


@contextlib.contextmanager
def _groups_removed(folder: Path) -> Iterator[None]:
    """Remove control groups at the end, which bear the name of the folder, see Cluster.limit."""
    try:
        yield
    finally:
        for place in (CPU_GROUPS, CPU_GROUPS.parent):
            for group in place.glob(f"mpi-pi-{folder.name}-*"):
                with contextlib.suppress(OSError):
                    group.rmdir()


@contextlib.contextmanager
def _shared_memory_freed() -> Iterator[None]:
    """Remove, at the end, new files in shared memory that are ours and that no process has mapped."""
    before = _shared_memory()
    try:
        yield
    finally:
        mapped = ""
        for maps in Path("/proc").glob("[0-9]*/maps"):
            with contextlib.suppress(OSError):
                mapped += maps.read_text(errors="replace")
        for file in _shared_memory() - before:
            if str(file) not in mapped:
                file.unlink(missing_ok=True)


def _shared_memory() -> set[Path]:
    found: set[Path] = set()
    for pattern in SHARED_MEMORY:
        for file in Path("/dev/shm").glob(pattern):
            with contextlib.suppress(OSError):
                if file.stat().st_uid == os.geteuid():
                    found.add(file)
    return found
