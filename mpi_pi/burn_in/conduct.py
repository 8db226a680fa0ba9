"""A burn-in on all ranks: one phase after the other, with the same team."""

import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mpi_pi.burn_in import facts, phases
from mpi_pi.burn_in.facts import Arrival
from mpi_pi.burn_in.meter import Meter
from mpi_pi.burn_in.observer import HostWatch, Observer
from mpi_pi.burn_in.outcome import BurnIn, PhaseOutcome
from mpi_pi.burn_in.phases import PHASES, Phase
from mpi_pi.burn_in.report import NOTHING, Report, step_seconds, work_of
from mpi_pi.model.audit import Audit
from mpi_pi.model.job import Job
from mpi_pi.model.result import Result
from mpi_pi.model.shard import Shard
from mpi_pi.mpi.collectives import allgather, bcast, gather
from mpi_pi.mpi.peer_timeout import RankLoss
from mpi_pi.mpi.runtime import library_name
from mpi_pi.mpi.stop import TIME_LIMIT, StopRequest
from mpi_pi.parallel.hooks import Hooks, Round
from mpi_pi.parallel.load_balancer import DEFAULT, Tuning
from mpi_pi.parallel.run import InterruptedRun, count
from mpi_pi.parallel.state import State
from mpi_pi.parallel.team import Team

if TYPE_CHECKING:
    from mpi4py import MPI

UNIT_POINTS = 1 << 16
"""Points of a unit: enough for the full rate, and so few that the NumPy kernel settles a dispute at once."""

TRIALS = 1 << 40
"""More units than can be counted in the time."""

SLEEP_SECONDS = 0.01
"""Time between polls while a rank sleeps between two rounds."""


GRACE_SECONDS = 10.0
"""Time for the last round of a phase, and its audit."""


class Order(NamedTuple):
    """What is to be done."""

    seconds: float
    audit: float
    """Share of the units that is to be counted twice."""
    seed: int

    def job(self, phase: int = 0) -> Job:
        """Return the job of a phase, by its place; each phase has points of its own."""
        return Job(TRIALS, UNIT_POINTS, self.seed + phase)

    def end_of(self, phase: int) -> float:
        """Return when a phase is to end, in seconds since the beginning."""
        return self.seconds * sum(one.share for one in PHASES[: phase + 1])


class _Ended(NamedTuple):
    """A phase on rank 0, after its end."""

    planned_seconds: float
    start: float
    """In seconds of time.monotonic()."""
    end: float
    result: Result | None
    """None if a rank fell silent in the first round."""
    reports: list[Report]


@dataclass
class Conductor:
    """A burn-in on this rank.

    `stop` is requested by signals; `show` is called again and again, with the seconds since the beginning,
    and `on_exclusion` on rank 0 when ranks are found to count wrongly, see Hooks.
    """

    team: Team
    order: Order
    stop: StopRequest
    show: Callable[[float], object]
    on_exclusion: Callable[[Shard, Audit], object]

    def __post_init__(self) -> None:
        self._comm, self._check = self.team.comm, self.team.heartbeat.check
        self._arrivals: list[Arrival] = []
        """Facts about all ranks, on rank 0."""
        self._hosts: list[int] = []
        """The number of each rank's host."""
        self._outcomes: list[PhaseOutcome] = []
        self._start = time.monotonic()

    def conduct(self) -> BurnIn | None:
        """Go through the phases, and return the outcome on rank 0; None elsewhere. Collective.

        If another rank falls silent, rank 0 returns the outcome so far; then no collective operation is
        possible any more. Raises what `parallel.run.count` raises.
        """
        self._arrivals = gather(self._comm, facts.arrival(), self._check) or []
        self._hosts = bcast(self._comm, facts.places(self._arrivals), self._check)
        signals = self._comm.Dup()
        stopped = lost = ""
        try:
            for number, phase in enumerate(PHASES):
                self._run_phase(number, phase, signals)
                if stopped := self._stopped():
                    break
        except RankLoss as loss:
            if self._comm.rank or not self._outcomes:
                raise
            lost = str(loss)
        return None if self._comm.rank else self._outcome(stopped, lost)

    def _run_phase(self, number: int, phase: Phase, signals: "MPI.Intracomm") -> None:
        """Run a phase to its end, and add its outcome on rank 0."""
        start = time.monotonic()
        # Even if the phase before took longer, since it had to settle which rank was wrong.
        seconds = max(self._start + self.order.end_of(number) - start, self.order.seconds * phase.share)
        # A round that is cut short is not audited: the phase ends after one, unless that takes too long.
        end, stop = math.inf, StopRequest()
        if self._comm.rank == 0:
            end, stop = start + seconds, StopRequest(start + seconds + GRACE_SECONDS)
        job = self.order.job(number)
        meter, observer = Meter(job, seconds), Observer(seconds) if self._observes else None
        team = self.team._replace(shard=Shard(job), kernel=meter.metered(self.team.kernel))

        def own_report() -> Report:
            return Report(meter.result(), observer.result() if observer else None)

        try:
            result = count(
                team, signals, self._hooks(phase, stop, observer, end), State(team, self._tuning(phase))
            )
        except InterruptedRun as loss:
            if self._comm.rank == 0:
                reports = [own_report(), *[NOTHING] * (self._comm.size - 1)]
                self._add(number, _Ended(seconds, start, time.monotonic(), loss.result, reports))
            raise
        ended = time.monotonic()
        if gathered := gather(self._comm, own_report(), self._check):
            self._add(number, _Ended(seconds, start, ended, result, gathered))

    @property
    def _observes(self) -> bool:
        """True on the first rank of each host."""
        return self._hosts.index(self._hosts[self._comm.rank]) == self._comm.rank

    def _hooks(self, phase: Phase, stop: StopRequest, observer: Observer | None, end: float) -> Hooks:
        """Return the callbacks of a phase; its `stop` is requested after the round that passes the `end`."""

        def on_idle() -> None:
            if self.stop.reason and not stop.reason:
                stop.request(self.stop.reason)
            if observer:
                observer.poll()
            self.show(min(time.monotonic() - self._start, self.order.seconds))

        def on_round(_: Round) -> None:
            now = time.monotonic()
            # All ranks hear of it before they count anything in the next round.
            if bcast(self._comm, now >= end, self._check) and not stop.reason:
                stop.request(TIME_LIMIT)
            until = now + phases.PULSE_SECONDS if phase.pulsed else now
            while not stop.poll() and time.monotonic() < until:
                self._check()
                on_idle()
                time.sleep(SLEEP_SECONDS)

        return Hooks(on_round, on_idle, stop, self.team.heartbeat, on_exclusion=self.on_exclusion)

    def _tuning(self, phase: Phase) -> Tuning:
        nanoseconds = phases.round_nanoseconds(self.order.audit)
        first_points = DEFAULT.first_points
        if self._outcomes:  # on rank 0, which alone plans rounds: the first one is as long as the others
            threads = sum(rank.info.threads for rank in self.team.ranks)
            works = self._outcomes[0].ranks
            rates = sum((work.points_per_second or 0.0) * (work.core_share or 1.0) for work in works)
            working = (max(self._hosts) + 1) / self._comm.size if phase.alone else 1.0
            first_points = max(int(working * rates / threads * nanoseconds / 1e9), 1)
        active = phases.taking_turns(self._hosts) if phase.alone else None
        return Tuning(
            first_points=first_points,
            round_nanoseconds=nanoseconds,
            wait_factor=0 if phase.pulsed else DEFAULT.wait_factor,
            active=active,
        )

    def _stopped(self) -> str:
        """Return the name of a signal that any rank has got; "" if none has."""
        reasons = allgather(self._comm, np.array([max(self.stop.reason, 0)], np.int64), self._check)
        reason = int(reasons.max())
        return signal.Signals(reason).name if reason else ""

    def _add(self, number: int, ended: _Ended) -> None:
        result, reports, step = ended.result, ended.reports, step_seconds(ended.reports)
        ranks = result.ranks if result else self.team.ranks
        works = [
            work_of(report, step, rank.info.threads, rank.kernel_right)
            for report, rank in zip(reports, ranks, strict=True)
        ]
        watches = [HostWatch()] * (max(self._hosts) + 1)
        for host, report in zip(self._hosts, reports, strict=True):
            watches[host] = report.watch or watches[host]
        outcome = PhaseOutcome(
            name=PHASES[number].name,
            planned_seconds=ended.planned_seconds,
            start_seconds=ended.start - self._start,
            seconds=ended.end - ended.start,
            rounds=result.rounds if result else 0,
            units=result.tally.units if result else 0,
            recounted_units=result.usage.recounted_units if result else 0,
            step_seconds=step,
            ranks=tuple(works),
            hosts=tuple(watches),
            wrong=result.audit.wrong if result and result.audit else (),
            unsettled=result.audit.unsettled if result and result.audit else (),
        )
        self._outcomes.append(outcome)

    def _outcome(self, stopped: str, lost: str) -> BurnIn:
        return BurnIn(
            seconds=self.order.seconds,
            audit=self.order.audit,
            seed=self.order.seed,
            mpi_library=library_name(),
            hosts=facts.hosts_of(self._arrivals, self.team.ranks),
            ranks=facts.ranks_of(self._arrivals, self.team.ranks),
            phases=tuple(self._outcomes),
            stopped=stopped,
            lost=lost,
        )
