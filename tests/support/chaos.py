"""Jobs that survive the loss of ranks, ranks of them that are killed, and what must be true of their end."""

import contextlib
import functools
import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import jsonschema

from mpi_pi.kernel.loader import load
from mpi_pi.model.job import Job
from support import schemas
from support.cluster import Cluster
from support.faults import AT_A_PACE, SHORT_ROUNDS, Fault, Faults
from support.launching import HANGS
from support.mpis import Mpi, on_all_hosts
from support.processes import leftovers

SURVIVING = ("--with-ft", "ulfm")
"""Options of Open MPI's mpirun."""


class Ended(NamedTuple):
    """The end of a job."""

    status: int
    out: str
    err: str
    seconds: float
    document: dict[str, Any] | None
    """Its JSON file, if it has written one."""

    @property
    def hits(self) -> set[int]:
        """The hits of all reports."""
        return {int(hits) for hits in re.findall(r"^pi = 4\*\((\d+)/", self.out, re.MULTILINE)}

    @property
    def lost(self) -> list[tuple[int, str, int]]:
        """The lost ranks that the JSON file names: rank, host and round."""
        assert self.document
        return [
            (rank["rank"], rank["host"], repair["round"])
            for repair in self.document["repairs"]
            for rank in repair["lost"]
        ]


class Started:
    """A job that has been started. Its JSON file is named in the command line of each of its processes."""

    def __init__(self, words: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.folder, self.json = folder, folder / "result.json"
        self._start = time.monotonic()
        with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                [*words, "--json", str(self.json)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environ,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text(errors="replace").replace("\r", "")

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text(errors="replace").replace("\r", "")

    def ranks(self) -> dict[int, int]:
        """Return the processes of ranks that are alive, by number."""
        found = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):  # it has just ended
                variables = Path(f"/proc/{pid}/environ").read_bytes()
                if number := re.search(rb"(?:^|\0)OMPI_COMM_WORLD_RANK=(\d+)", variables):
                    found[int(number[1])] = pid
        return found

    def pids(self) -> list[int]:
        """Return all processes of the job that are alive."""
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if os.fsencode(self.json) in file.read_bytes():
                    found.append(int(file.parent.name))
        return found

    def kill(self, *numbers: int, number: signal.Signals = signal.SIGKILL) -> list[int]:
        """Send a signal to ranks that are alive, and return them."""
        alive, killed = self.ranks(), []
        for rank in numbers:
            if rank in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(alive[rank], number)
                    killed.append(rank)
        return killed

    def until(self, true: Callable[[], object], seconds: float = 60) -> None:
        """Wait until something is true, or the job has ended."""
        deadline = time.monotonic() + seconds
        while not true() and self.process.poll() is None:
            if time.monotonic() > deadline:
                self.end()
                raise TimeoutError(f"not within {seconds} s: {self.err}")
            time.sleep(0.02)

    def until_head(self) -> None:
        """Wait until the head of the report has been printed."""
        self.until(lambda: "Points per trial" in self.out)

    def end(self) -> None:
        """Kill all processes of the job."""
        self.process.kill()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def ended(self, limit: float = 60) -> Ended:
        """Return how the job ends, of which no process may be left."""
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.end()
            self.process.wait()
            status = HANGS
        seconds = time.monotonic() - self._start
        document = json.loads(self.json.read_text()) if self.json.exists() else None
        ended = Ended(status, self.out, self.err, seconds, document)
        if left := leftovers(str(self.json)):
            self.end()
            raise AssertionError(f"processes {left} are left: {ended}")
        return ended


JOB = Job(80, 1000, 5)
"""A job of some twenty rounds with SHORT_ROUNDS."""

LONG = Job(6000, 1_000_000, 7)
"""A job of minutes AT_A_PACE, and of seconds at full speed."""

RANKS = 4


def words_of(job: Job) -> list[str]:
    """Return the arguments of mpi-pi for a job."""
    return ["run", "-n", str(job.trials), "-i", str(job.points), "--seed", str(job.seed)]


class Start:
    """Starts jobs that survive the loss of ranks; a context manager that ends them.

    `where` returns the options of mpirun for a number of ranks, and `on` is the beginning of a command on the
    host of mpirun.
    """

    def __init__(
        self,
        mpi: Mpi,
        faults: Faults,
        folder: Path,
        environ: Mapping[str, str],
        where: Callable[[int], Sequence[str]] = lambda ranks: ("-n", str(ranks)),
        on: Sequence[str] = (),
    ) -> None:
        self.mpi, self.faults, self.folder, self.environ = mpi, faults, folder, environ
        self.where, self.on = where, on
        self.options: Sequence[str] = SURVIVING
        """Options of mpirun for all jobs."""
        self.jobs: list[Started] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for job in self.jobs:
            job.end()

    def __call__(
        self,
        *faults: Fault,
        options: Sequence[str] = (),
        ranks: int = RANKS,
        job: Job = JOB,
        values: Mapping[str, float] = SHORT_ROUNDS,
    ) -> Started:
        """Start a job whose program has these faults, in a folder of its own."""
        folder = self.folder / str(len(self.jobs))
        folder.mkdir()
        program = self.faults.program(*faults, values=values, python=self.mpi.python)
        words = [*self.on, self.mpi.mpirun, *self.options, *self.where(ranks), program]
        self.jobs.append(Started([*words, *words_of(job), *options], folder, self.environ))
        return self.jobs[-1]

    def long(self, *faults: Fault, options: Sequence[str] = (), ranks: int = RANKS) -> Started:
        """Start LONG, which does not end before `full_speed` is called."""
        return self(*faults, AT_A_PACE, options=options, ranks=ranks, job=LONG, values={})

    def full_speed(self) -> None:
        """Let the last job, which is LONG, come to its end."""
        self.faults.full_speed()

    def until_passed(self, ranks: int) -> None:
        """Wait until so many ranks of the last job have passed the point of its first fault."""
        self.jobs[-1].until(lambda: len(list(self.faults.last.glob("hit-0-*"))) == ranks)


def start_on_hosts(
    cluster: Cluster, mpi: Mpi, faults: Faults, folder: Path, environment: Mapping[str, str]
) -> Start:
    """Return what starts jobs on the nodes of a cluster, whose ranks are dealt out in blocks."""
    environ = on_all_hosts(environment) | {"TMPDIR": "/var/tmp"}

    def where(ranks: int) -> Sequence[str]:
        hosts = [cluster.addresses[name] for name in cluster.nodes]
        slots = [len(range(place, ranks, len(hosts))) for place in range(len(hosts))]
        file = folder / "hosts"
        file.write_text(mpi.hostfile(dict(zip(hosts, slots, strict=True))))
        return ("-hostfile", str(file))

    return Start(mpi, faults, folder, environ, where, cluster.command("client"))


class Kill(NamedTuple):
    """A kill at a random moment."""

    seconds: float
    """After all ranks have passed MPI_Init."""
    rank: int


def kills(draw: random.Random, ranks: int, seconds: float) -> list[Kill]:
    """Return one to three kills of different ranks within so many seconds, rank 0 in half of the cases."""
    those = draw.sample(range(1, ranks), draw.randint(1, min(3, ranks - 1)))
    if draw.random() < 0.5:
        those[0] = 0
    return sorted(Kill(draw.uniform(0, seconds), rank) for rank in those)


def carry_out(job: Started, planned: Sequence[Kill]) -> list[int]:
    """Kill ranks of a job when all have passed MPI_Init; return those that were alive."""
    start, killed = time.monotonic(), list[int]()
    for kill in planned:
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.process.wait(max(kill.seconds - (time.monotonic() - start), 0))
        killed += job.kill(kill.rank)
    return killed


@functools.cache
def hits_of(job: Job) -> int:
    """Return the hits of an undisturbed run."""
    return int(load().count(job, range(job.units)).sum())


def fault_of(ended: Ended, job: Job, status: int = 0) -> str:
    """Return what is wrong with the end of a job that has survived; empty if nothing is."""
    document = ended.document or {}
    bad = {
        "hangs": ended.status == HANGS,
        f"status {ended.status}": ended.status != status,
        f"reports {sorted(ended.hits)}": ended.hits != {hits_of(job)},
        "not verified": "Verification = SUCCESSFUL\n" not in ended.out,
        "no JSON": not document,
    }
    if document:
        jsonschema.validate(document, schemas.RUN)
        bad["other hits in the JSON"] = document["estimate"]["hits"] != hits_of(job)
    return ", ".join(fault for fault, there in bad.items() if there)


def require_right(ended: Ended, job: Job, traceback: bool = False) -> None:
    """Require that a job has survived: hits, JSON file, status, and no traceback unless one is expected."""
    assert traceback or "Traceback" not in ended.err, ended.err
    fault = fault_of(ended, job)
    assert not fault, f"{fault}\n{ended.out}\n{ended.err}"


def trial(start: Start, seed: int) -> str:
    """Return what is wrong with the end of a job that loses ranks at random; empty if nothing is."""
    draw = random.Random(seed)
    ranks = draw.randint(4, 8)
    planned = kills(draw, ranks, 2.0)
    job = start.long(Fault("after MPI_Init", "nothing"), ranks=ranks)
    start.until_passed(ranks)
    killed = carry_out(job, planned)
    start.full_speed()
    ended = job.ended()
    lost = [rank for rank, *_ in ended.lost] if ended.document else []  # also those that crash in Open MPI
    fault = fault_of(ended, LONG) or ("" if {*killed} <= {*lost} else "others are lost")
    moments = ", ".join(f"{kill.rank} at {kill.seconds:.2f} s" for kill in planned)
    said = fault or "same hits"
    print(
        f"{seed:3} {ranks} ranks, {moments}: {ended.seconds:.1f} s, killed {killed}, lost {lost}, {said}",
        flush=True,
    )
    return f"{seed}: {fault}: {ended}" if fault else ""
