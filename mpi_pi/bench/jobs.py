"""How long whole jobs take, from mpirun to prompt, and where that time goes."""

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mpi_pi.bench.median import MedianCI
from mpi_pi.bench.published import FLAME_PYTHON, FLAME_RUST, OCTAPI, Published
from mpi_pi.kernel.loader import NO_CACHE
from mpi_pi.system.affinity import cores, physical_cores
from mpi_pi.system.command import telling_line
from mpi_pi.system.launch_env import missing_basics

SEED = 2017
"""All turns of a job have to count the same hits."""

LIMIT_SECONDS = 600.0
"""For one job."""

WORTH_SECONDS = LIMIT_SECONDS / 4
"""A job that would take longer is left out, but for the first."""

BUDGET_SECONDS = {False: 15.0, True: 60.0}
"""For all warm turns, in quick and in full mode."""

MIN_TURNS = 3
"""However long they take."""

CLEANING_SECONDS = 60.0
"""For removing a cache on all hosts."""

LAST_SECONDS = 5.0
"""What a launcher gets to end its ranks, before it is killed."""

"""How `mpi_pi.kernel.loader` begins to say why."""


class JobFailed(RuntimeError):
    """A job that could not be measured; says which command, and why."""


@dataclass(frozen=True)
class Work:
    """A job to be measured."""

    name: str
    published: Published
    turns: int
    cold_turns: int

    @property
    def points(self) -> int:
        """Of all trials."""
        return self.published.trials * self.published.points_per_trial


@dataclass(frozen=True)
class Run:
    """One run of a job."""

    begun: float
    """CLOCK_MONOTONIC of this host, before the launcher was started; likewise the next."""
    ended: float
    interpreter_seconds: float
    document: Mapping[str, Any]
    """What it has written for --json."""

    @property
    def seconds(self) -> float:
        """From mpirun to prompt."""
        return self.ended - self.begun

    @property
    def hits(self) -> int:
        """What it has counted."""
        return int(self.document["estimate"]["hits"])

    @property
    def compiled_on(self) -> list[str]:
        """The hosts that had to compile."""
        return sorted({row["host"] for row in self.document["ranks"] if row["kernel_source"] == "compiled"})


class Measured(NamedTuple):
    """What there is to know of whole jobs."""

    jobs: list[dict[str, Any]]
    """The section."""
    document: Mapping[str, Any]
    """What the first of all runs has written for --json: who took part, with which MPI and kernel."""


# Of nine turns and more, `mpi_pi.spread` leaves the slowest and the quickest out of the interval.
QUICK = (Work("Flame", FLAME_PYTHON, turns=12, cold_turns=2),)
FULL = (
    Work("Flame", FLAME_PYTHON, turns=15, cold_turns=4),
    Work("Flame tenfold", FLAME_RUST, turns=15, cold_turns=0),
    Work("OctaPi", OCTAPI, turns=9, cold_turns=0),
)


def default_launcher() -> list[str]:
    """The mpirun of this environment, or else of the machine, with a rank for each core. Raises JobFailed."""
    own = Path(sys.executable).parent / "mpirun"
    mpirun = str(own) if own.exists() else shutil.which("mpirun")
    if mpirun is None:
        raise JobFailed("argument --launcher: no mpirun was found: name one, or 'srun --mpi=pmix -n 64'")
    # Open MPI refuses to start more ranks than there are cores, however many threads those run.
    return [mpirun, "-n", str(len(physical_cores(cores())))]


def measure(
    launcher: Sequence[str],
    full: bool,
    show: Callable[[float], object],
    cache: str | None = None,
    works: Sequence[Work] | None = None,
) -> Measured:
    """The section `jobs`: each job warm, and cold where it is to be, in turns.

    Warm jobs find the machine code in the compile cache, the user's or `cache`; cold ones have to compile. Of
    the files of Python and the MPI nothing is done to have them forgotten. Raises JobFailed.
    """
    works = works or (FULL if full else QUICK)
    warm = ["--cache", cache] if cache else []
    # The first one fills the cache, and is not measured.
    first = _run([*launcher, *_command(works[0]), *warm])
    turns = planned(works, first, BUDGET_SECONDS[full])
    runs: dict[tuple[Work, bool], list[Run]] = {kind: [] for kind in turns}
    hits = {works[0]: first.hits}
    for turn in range(max(turns.values())):
        for work, cold in turns:
            if turn >= turns[work, cold]:
                continue
            with _empty_cache(launcher) if cold else contextlib.nullcontext(warm) as options:
                run = _run([*launcher, *_command(work), *options])
            _check(run, work, cold, hits.setdefault(work, run.hits))
            runs[work, cold].append(run)
            show(sum(map(len, runs.values())) / sum(turns.values()))
    jobs = [_as_fields(launcher, work, cold, of_kind) for (work, cold), of_kind in runs.items()]
    return Measured(jobs, first.document)


def planned(works: Sequence[Work], first: Run, budget_seconds: float) -> dict[tuple[Work, bool], int]:
    """The turns that each job gets, cold (True) and warm, after a run of the first of them.

    Those that would take too long get none. What a short job leaves of the budget is for the longer ones.
    """
    expected = {work: expected_seconds(work, works[0], first) for work in works}
    worth = [work for work in works if work is works[0] or expected[work] <= WORTH_SECONDS]
    turns: dict[tuple[Work, bool], int] = {}
    for done, work in enumerate(worth):
        affordable = int(budget_seconds / (len(worth) - done) / expected[work])
        if work.cold_turns and first.document["ranks"][0]["kernel_source"]:  # NumPy's has nothing to compile
            turns[work, True] = work.cold_turns
        turns[work, False] = min(max(affordable, MIN_TURNS), work.turns)
        budget_seconds -= turns[work, False] * expected[work]
    return turns


def expected_seconds(work: Work, known: Work, run: Run) -> float:
    """How long a job will take, warm, by a run of a known one: counting grows with the points, no more."""
    ranks = run.document["ranks"]
    count_seconds = max(row["count_seconds"] for row in ranks)
    compile_seconds = max(row["kernel_seconds"] for row in ranks) if run.compiled_on else 0.0
    more = work.points / known.points
    return float(run.seconds - compile_seconds + count_seconds * (more - 1))


def steps(run: Run, one_clock: bool = True) -> dict[str, float]:
    """Where the time of a run went, on rank 0: seconds of each step, in order. They add up to all of it.

    If the clock that rank 0 has looked at is another than ours, what is before and after it is one step.
    """
    at, ranks = run.document["marks"], run.document["ranks"]
    kernel_seconds = ranks[0]["kernel_seconds"]
    count_seconds = max(row["count_seconds"] for row in ranks)
    own = {
        "interpreter": run.interpreter_seconds,
        "imports": at["imported"] - at["program"],
        "MPI_Init": at["mpi"] - at["imported"],
        "kernel load": kernel_seconds,
        "agreements": at["start"] - at["mpi"] - kernel_seconds,
        "count": count_seconds,
        "reduce and wait": at["end"] - at["start"] - count_seconds,
        "report": at["counted"] - at["end"],
    }
    if not one_clock:
        return own | {"launcher and exit": run.seconds - sum(own.values())}
    before = {"launcher": at["program"] - run.begun - run.interpreter_seconds}
    return before | own | {"exit": run.ended - at["counted"]}


def output(command: Sequence[str], limit_seconds: float, errors: bool) -> str:
    """What a launcher, or another command, prints to standard output.

    With `errors` its standard error is the user's; without, the last word of it is told if it fails. It is
    ended if it takes longer than the limit, or if anything is raised here meanwhile, such as by Ctrl-C.
    Raises JobFailed if it cannot be started, does not end, or not well.
    """
    return _outputs(command, limit_seconds, errors)[0]


def _command(work: Work) -> list[str]:
    # Not the script mpi-pi, which names the place where its environment was made.
    job = work.published
    return [
        *(sys.executable, "-m", "mpi_pi", "run", "-n", str(job.trials), "-i", str(job.points_per_trial)),
        *("--seed", str(SEED), "--json", "-"),  # rank 0 may have other disks
    ]


@contextlib.contextmanager
def _empty_cache(launcher: Sequence[str]) -> Iterator[list[str]]:
    """The option for a compile cache with nothing in it, which is gone afterwards."""
    with tempfile.TemporaryDirectory(
        prefix="mpi-pi-cold-", dir="/var/tmp", ignore_cleanup_errors=True
    ) as folder:
        try:
            yield ["--cache", folder]
        finally:  # every host has made its own
            with contextlib.suppress(JobFailed):
                output([*launcher, "rm", "-rf", folder], CLEANING_SECONDS, errors=False)


def _run(command: Sequence[str]) -> Run:
    """Run a job as a user would, and see that it has come to a good end. Raises JobFailed."""
    interpreter_seconds = _interpreter_seconds()
    begun = time.clock_gettime(time.CLOCK_MONOTONIC)
    printed, errors = _outputs(command, LIMIT_SECONDS, errors=False)
    ended = time.clock_gettime(time.CLOCK_MONOTONIC)
    try:
        document = json.loads(printed)
        verified = document["verified"] and not document["partial"]
    except (ValueError, KeyError, TypeError) as error:
        raise JobFailed(f"{shlex.join(command)}: its output is not that of one mpi-pi run") from error
    if not verified:
        raise JobFailed(f"{shlex.join(command)}: its answer is not verified")
    for line in errors.splitlines():
        if NO_CACHE in line:
            raise JobFailed(f"warm jobs need a compile cache, but {line[line.index(NO_CACHE) :]}")
    return Run(begun, ended, interpreter_seconds, document)


def _outputs(command: Sequence[str], limit_seconds: float, errors: bool) -> tuple[str, str]:
    """Standard output and standard error, which is empty if the user sees it; see `output`."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if errors else subprocess.PIPE,
            text=True,
            errors="replace",
            env=os.environ | missing_basics(),
        )
    except OSError as error:
        raise JobFailed(f"argument --launcher: {command[0]!r}: {error.strerror}") from error
    # Where the user sees what happens, the first word will do.
    name = command[0] if errors else shlex.join(command)
    with process:
        try:
            printed, complaints = process.communicate(timeout=limit_seconds)
        except subprocess.TimeoutExpired as error:
            raise JobFailed(f"{name}: not done after {limit_seconds:g} s") from error
        finally:
            _end(process)
    if process.returncode:
        why = ", see above" if errors else f": {telling_line(complaints, 'mpi-pi: error:') or 'no word'}"
        raise JobFailed(f"{name}: ended with status {process.returncode}{why}")
    return printed, complaints or ""


def _end(process: "subprocess.Popen[str]") -> None:
    """End a launcher that is still there, in a way that it can take its ranks along."""
    if process.poll() is not None:
        return
    try:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LAST_SECONDS)
    finally:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LAST_SECONDS)


def _interpreter_seconds() -> float:
    """How long Python takes from its start to the program's first line, see `mpi_pi.timestamps`."""
    begun = time.clock_gettime(time.CLOCK_MONOTONIC)
    program = "import mpi_pi; print(mpi_pi.timestamps.seconds['program'])"
    return float(output([sys.executable, "-c", program], LIMIT_SECONDS, errors=False)) - begun


def _check(run: Run, work: Work, cold: bool, hits: int) -> None:
    """Raises JobFailed unless it has counted what other runs of the job have, and compiled only if cold."""
    if run.hits != hits:
        raise JobFailed(f"{work.name}: not the same hits in all turns: {hits}, {run.hits}")
    if cold and not run.compiled_on:
        raise JobFailed(f"{work.name}: nothing was compiled, although its compile cache was empty")
    if not cold and run.compiled_on:
        hosts = ", ".join(run.compiled_on)
        raise JobFailed(
            f"{work.name}: compiled again on {hosts}, although an earlier run had filled the compile cache"
            " (unless the launcher chose other hosts)"
        )


def _as_fields(launcher: Sequence[str], work: Work, cold: bool, runs: Sequence[Run]) -> dict[str, Any]:
    one_clock = all(map(_has_our_clock, runs))
    of_turns = [steps(run, one_clock) for run in runs]
    published = work.published
    return {
        "name": work.name,
        "job": {"trials": published.trials, "points_per_trial": published.points_per_trial},
        "ranks": len(runs[0].document["ranks"]),
        "command": shlex.join([*launcher, *_command(work)]),
        "cold": cold,
        "seconds": MedianCI.of(run.seconds for run in runs).as_fields(),
        "steps": [
            {"name": name, "seconds": MedianCI.of(turn[name] for turn in of_turns).as_fields()}
            for name in of_turns[0]
        ],
        "published": {
            name: getattr(published, name) for name in ("name", "seconds", "date", "machine", "source")
        },
    }


def _has_our_clock(run: Run) -> bool:
    """Whether rank 0 was on this host: it says so, and its marks lie between the start and the end."""
    at = run.document["marks"].values()
    here = run.document["ranks"][0]["host"].partition(".")[0] == socket.gethostname().partition(".")[0]
    return bool(here and run.begun < min(at) and max(at) < run.ended)
