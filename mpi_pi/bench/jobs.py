"""Time of whole jobs, from the start of their launcher to its end, and of their phases."""

import contextlib
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mpi_pi.bench.document import Progress
from mpi_pi.bench.launched import LIMIT_SECONDS, TimedRun, capture, time_run
from mpi_pi.bench.median import MedianCI
from mpi_pi.bench.published import FLAME_PYTHON, FLAME_RUST, OCTAPI, Published
from mpi_pi.errors import RunError

SEED = 2017
"""Seed of all jobs, so that all turns of one count the same hits."""

MAX_EXPECTED_SECONDS = LIMIT_SECONDS / 4
"""Duration above which a job is left out, unless it is the first."""

BUDGET_SECONDS = {False: 15.0, True: 60.0}
"""Duration of all warm turns, in quick (False) and in full mode."""

MIN_TURNS = 3
"""Warm turns of a job, whatever the budget."""

CLEANING_SECONDS = 60.0
"""Time limit for removing a cache on all hosts."""


@dataclass(frozen=True)
class BenchJob:
    """A job to be measured, of the size of a published run."""

    name: str
    published: Published
    warm_turns: int
    """Maximum."""
    cold_turns: int

    @property
    def points(self) -> int:
        """Points of all trials."""
        return self.published.trials * self.published.points_per_trial

    @property
    def command(self) -> list[str]:
        """The command of a rank."""
        job = self.published
        # Not the script, which names the place where it was installed; and rank 0 may have other disks.
        program, output = (sys.executable, "-m", "mpi_pi"), ("--json", "-")
        size = ("-n", str(job.trials), "-i", str(job.points_per_trial))
        return [*program, "run", *size, "--seed", str(SEED), *output]


# From nine turns on, the interval of `bench.median` leaves out the slowest and the fastest.
QUICK = (BenchJob("Flame", FLAME_PYTHON, warm_turns=12, cold_turns=2),)
FULL = (
    BenchJob("Flame", FLAME_PYTHON, warm_turns=15, cold_turns=4),
    BenchJob("Flame tenfold", FLAME_RUST, warm_turns=15, cold_turns=0),
    BenchJob("OctaPi", OCTAPI, warm_turns=9, cold_turns=0),
)


def measure(
    launcher: Sequence[str],
    full: bool,
    progress: Progress,
    cache: Path | None = None,
    jobs: Sequence[BenchJob] | None = None,
) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """Measure jobs, warm and cold in turns; those of quick or full mode unless `jobs` are given.

    Returns the section `jobs` of a benchmark, and the --json of the first of all runs: it tells the hosts,
    ranks, kernel and MPI of all.

    Warm jobs find the machine code in the compile cache, the user's or `cache`; cold ones have to compile.
    The files of Python and MPI may be in the memory of the system in both cases. Raises RunError.
    """
    jobs = jobs or (FULL if full else QUICK)
    warm = [f"--cache={cache}"] if cache else []
    first = time_run([*launcher, *jobs[0].command, *warm])  # fills the cache, and is not measured
    turns = plan_turns(jobs, first, BUDGET_SECONDS[full])
    runs: dict[tuple[BenchJob, bool], list[TimedRun]] = {kind: [] for kind in turns}
    hits = {jobs[0]: first.hits}
    for turn in range(max(turns.values())):
        for job, cold in turns:
            if turn >= turns[job, cold]:
                continue
            with empty_cache(launcher) if cold else contextlib.nullcontext(warm) as options:
                run = time_run([*launcher, *job.command, *options])
            check(run, job, cold, hits.setdefault(job, run.hits))
            runs[job, cold].append(run)
            progress(sum(map(len, runs.values())) / sum(turns.values()))
    section = [row(launcher, job, cold, of_kind) for (job, cold), of_kind in runs.items()]
    return section, first.document


def plan_turns(
    jobs: Sequence[BenchJob], first: TimedRun, budget_seconds: float
) -> dict[tuple[BenchJob, bool], int]:
    """Return the turns of each job, cold (True) and warm (False), given a run of the first of the jobs.

    Jobs that would take too long are left out. Time that a short job does not need is left to longer ones.
    """
    expected = {job: expected_seconds(job, jobs[0], first) for job in jobs}
    kept = [job for job in jobs if job is jobs[0] or expected[job] <= MAX_EXPECTED_SECONDS]
    turns: dict[tuple[BenchJob, bool], int] = {}
    for done, job in enumerate(kept):
        affordable = int(budget_seconds / (len(kept) - done) / expected[job])
        if job.cold_turns and first.document["ranks"][0]["kernel_source"]:  # NumPy's has nothing to compile
            turns[job, True] = job.cold_turns
        turns[job, False] = min(max(affordable, MIN_TURNS), job.warm_turns)
        budget_seconds -= turns[job, False] * expected[job]
    return turns


def expected_seconds(job: BenchJob, known: BenchJob, run: TimedRun) -> float:
    """Return the duration of a warm job, given a run of a known one: only counting grows with points."""
    ranks = run.document["ranks"]
    count_seconds = max(row["count_seconds"] for row in ranks)
    compile_seconds = max(row["kernel_seconds"] for row in ranks) if run.compiled_on else 0.0
    return float(run.seconds - compile_seconds + count_seconds * (job.points / known.points - 1))


@contextlib.contextmanager
def empty_cache(launcher: Sequence[str]) -> Iterator[list[str]]:
    """Yield the option for an empty compile cache, which is removed afterwards on all hosts."""
    with TemporaryDirectory(prefix="mpi-pi-cold-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        try:
            yield ["--cache", folder]
        finally:  # every host has made its own
            with contextlib.suppress(RunError):
                capture([*launcher, "rm", "-rf", folder], CLEANING_SECONDS)


def check(run: TimedRun, job: BenchJob, cold: bool, hits: int) -> None:
    """Raise RunError unless a run has counted these hits, and has compiled if, and only if, it was cold."""
    if run.hits != hits:
        raise RunError(f"{job.name}: not the same hits in all turns: {hits}, {run.hits}")
    if cold and not run.compiled_on:
        raise RunError(f"{job.name}: nothing was compiled, although its compile cache was empty")
    if not cold and run.compiled_on:
        again = f"{job.name}: compiled again on {', '.join(run.compiled_on)}"
        cache = "an earlier run had filled the compile cache (unless the launcher chose other hosts)"
        raise RunError(f"{again}, although {cache}")


def row(launcher: Sequence[str], job: BenchJob, cold: bool, runs: Sequence[TimedRun]) -> dict[str, Any]:
    """Return a row of the section: the runs of a job by turn, all of them cold or warm."""
    shared_clock = all(run.shares_clock for run in runs)
    phases = [run.phases(shared_clock) for run in runs]
    published = asdict(job.published)
    size = {name: published.pop(name) for name in ("trials", "points_per_trial")}
    return {
        "name": job.name,
        "job": size,
        "ranks": len(runs[0].document["ranks"]),
        "command": shlex.join([*launcher, *job.command]),
        "cold": cold,
        "seconds": MedianCI.of(run.seconds for run in runs).as_fields(),
        "steps": [
            {"name": name, "seconds": MedianCI.of(turn[name] for turn in phases).as_fields()}
            for name in phases[0]
        ],
        "published": published,
    }
