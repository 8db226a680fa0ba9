"""One `mpi-pi check`: every host examined, and whether the cluster is fit, on all ranks."""

import argparse
import time
from collections.abc import Mapping, Sequence
from concurrent import futures
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpi_pi.check import rules
from mpi_pi.check.hosts import Host, Row, hosts_of
from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import BAD_USAGE, FAILED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.model.job import Job
from mpi_pi.mpi import pingpong, runtime
from mpi_pi.mpi.command_loop import SIGN_SECONDS, Action, Alive, CommandLoop, RootTimeout, serve
from mpi_pi.parallel import run as parallel
from mpi_pi.parallel.threads import ThreadTeam
from mpi_pi.report import check as check_report
from mpi_pi.storage.atomic_file import OutputError
from mpi_pi.system import affinity, machine
from mpi_pi.system.machine import Machine, State
from mpi_pi.system.software import Software, software

if TYPE_CHECKING:
    from mpi4py import MPI

COUNT_SECONDS = 1.0
LINK_SECONDS = 0.5
ALL_LINKS_SECONDS = 20.0
"""With many hosts each has less than `LINK_SECONDS`; and whose turn has not come after twice this time is
left out."""


def check(args: argparse.Namespace, comm: "MPI.Intracomm") -> int:
    """Examine all hosts, on all ranks together; the exit status, on rank 0."""
    examination = _Examination(comm, Path(args.cache) if args.cache else None)
    if comm.rank == 0:
        return _Checkup(args, comm, examination.actions()).run()

    def complain(message: str) -> None:
        console.complain(f"rank {comm.rank} on host {runtime.HOST}: {message}")

    try:
        serve(comm, examination.actions(), complain)
    except RootTimeout as forsaken:
        complain(f"{forsaken} on host {examination.host_of_rank_0}")
        parallel.abort(comm, FAILED)
    return VERIFIED


class _Examination:
    """What each rank finds out of itself and its host, as rank 0 asks for it."""

    def __init__(self, comm: "MPI.Intracomm", cache_folder: Path | None) -> None:
        self._comm, self._cache_folder = comm, cache_folder
        self._kernel: Kernel | None = None
        self.host_of_rank_0 = ""
        """Once there was an order from there."""

    def actions(self) -> Mapping[str, Action]:
        return {"facts": self._facts, "kernel": self._load, "count": self._count, "link": self._answer}

    def _facts(self, host_of_rank_0: str, _: Alive) -> dict[str, Any]:
        self.host_of_rank_0 = host_of_rank_0
        return {
            "host": runtime.HOST,
            "machine": asdict(machine.machine()),
            "software": asdict(software(parallel.library_name())),
            "cpus": tuple(sorted(affinity.cores())),
        }

    def _load(self, _: None, alive: Alive) -> dict[str, Any]:
        """Load the kernel, which may have to be compiled, in half a minute on a small machine."""

        def attempt() -> tuple[Kernel, bool]:
            kernel = load("auto", self._cache_folder, console.note)
            return kernel, kernel.self_test()

        with futures.ThreadPoolExecutor(1) as pool:
            loading = pool.submit(attempt)
            while futures.wait([loading], SIGN_SECONDS).not_done:
                alive()
        self._kernel, right = loading.result()
        return {"kernel": self._kernel.name, "kernel_warning": self._kernel.warning, "right": right}

    def _count(self, observers: list[int], _: Alive) -> dict[str, Any]:
        """Count for a second, and have a look at the host in the middle of it, if that is for this rank."""
        if self._kernel is None:
            return {}  # why has been told
        observing = self._comm.rank in observers
        idle = machine.state() if observing else None
        loaded = None
        points, seconds, cpu_seconds = 0, 0.0, 0.0
        for _half in range(2):
            start, cpu_start = time.perf_counter(), time.thread_time()
            points += self._points_in(self._kernel, COUNT_SECONDS / 2)
            seconds += time.perf_counter() - start
            cpu_seconds += time.thread_time() - cpu_start
            if observing and not loaded:
                loaded = machine.state()
        return {
            "points_per_second": points / seconds,
            "core_share": cpu_seconds / seconds,
            "idle": idle and asdict(idle),
            "loaded": loaded and asdict(loaded),
        }

    def _points_in(self, kernel: Kernel, seconds: float) -> int:
        deadline = time.perf_counter() + seconds
        crew = ThreadTeam(kernel, 1, lambda: time.perf_counter() > deadline)
        # More than can be counted in the time, in units of which even the slowest kernel finishes many.
        job = Job(trials=1 << 40, points=(1 << 16) // kernel.units_at_once, seed=0)
        tally, _ = crew.count(job, range(job.units), keep_hits=False)
        return tally.points

    def _answer(self, _: None, __: Alive) -> None:
        pingpong.answer(self._comm)


class _Checkup:
    """The check as a whole, on rank 0."""

    def __init__(
        self, args: argparse.Namespace, comm: "MPI.Intracomm", actions: Mapping[str, Action]
    ) -> None:
        self.args, self.comm = args, comm
        self.coordinator = CommandLoop(comm, actions)
        self.rows = [Row(rank, f"host of rank {rank}") for rank in range(comm.size)]

    def run(self) -> int:
        """Do it; the exit status."""
        try:
            with Output(self.args.json) as output:
                self._examine()
                status = self._report(output)
        except OutputError as error:
            self.coordinator.end()
            console.error(str(error))
            return BAD_USAGE
        if self.coordinator.lost:
            parallel.abort(self.comm, FAILED)
        self.coordinator.end()
        return status

    def _examine(self) -> None:
        """Step by step. One that loses a host is the last."""
        self._ask("facts", runtime.HOST)
        hosts = hosts_of(self.rows)
        self._ask("kernel")
        self._ask("count", [host.rows[0].rank for host in hosts])
        self._measure_links(hosts)
        lost, problems = self.coordinator.lost, self.coordinator.problems
        self.rows = [
            replace(row, reachable=row.rank not in lost, problem=problems.get(row.rank, ""))
            for row in self.rows
        ]

    def _ask(self, order: str, argument: Any = None) -> None:
        """Let all ranks find something out, and enter it in their rows."""
        if not self.coordinator.lost:
            for rank, answer in self.coordinator.ask_all(order, argument).items():
                self.rows[rank] = replace(self.rows[rank], **_columns(answer))

    def _measure_links(self, hosts: Sequence[Host]) -> None:
        """One host after the other, while nobody else has anything to send."""
        seconds = min(LINK_SECONDS, ALL_LINKS_SECONDS / len(hosts))
        deadline = time.monotonic() + 2 * ALL_LINKS_SECONDS
        for host in hosts:
            peer = next((row.rank for row in host.rows if row.rank != 0), None)
            if peer is None or self.coordinator.lost or time.monotonic() > deadline:
                continue
            self.coordinator.order([peer], "link")
            try:
                link = pingpong.measure(self.comm, peer, seconds)
            except pingpong.PeerTimeout:
                self.coordinator.lost.add(peer)
            else:
                self.coordinator.hear([peer])
                self.rows[peer] = replace(self.rows[peer], link=link)

    def _report(self, output: Output) -> int:
        """Print and write everything; the exit status."""
        hosts = hosts_of(self.rows)
        findings = rules.findings(hosts)
        text, as_json = check_report.text(hosts, findings), check_report.as_json(hosts, findings)
        # What is printed just before an abort may not get through mpirun any more.
        if not output.put(text, as_json, through_mpirun=not self.coordinator.lost):
            return FAILED
        return VERIFIED if rules.fit(findings) else FAILED


_RECORDS = {"machine": Machine, "software": Software, "idle": State, "loaded": State}


def _columns(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a rank has answered, as columns of its row. One of another version may tell more, or less."""
    known = {field.name for field in fields(Row)}
    return {
        name: _record(_RECORDS[name], value) if value and name in _RECORDS else value
        for name, value in answer.items()
        if name in known
    }


def _record(kind: type[Any], told: Mapping[str, Any]) -> Any:
    return kind(**{field.name: told.get(field.name) for field in fields(kind)})
