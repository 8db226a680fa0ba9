"""Runs of the product's recovery in simulated MPI, in which every hit is accounted for.

Unit u has 2^u hits more than the middle, so a sum of hits tells which units are in it and how often.
"""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_pi.model.audit import Audit
from mpi_pi.model.binomial import centre
from mpi_pi.model.job import Job
from mpi_pi.model.result import RankStats, Result
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Tally
from mpi_pi.mpi import collectives, ulfm
from mpi_pi.mpi.collectives import CollectiveError, bcast, call_on_root
from mpi_pi.mpi.peer_timeout import RankLoss
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.parallel import manager, outcome, recovery, repair, round_loop, settlement, team
from mpi_pi.parallel.hooks import Hooks, Round
from mpi_pi.parallel.load_balancer import Tuning
from mpi_pi.parallel.recovery import Survivors
from mpi_pi.parallel.run import count
from mpi_pi.parallel.state import State
from mpi_pi.parallel.team import Plan, Request, Team, assemble
from mpi_pi.storage import result_file
from support.simulated_mpi import MODULE, Comm, Schedule, World, this_rank

JOB = Job(trials=12, points=1 << 26, seed=3)
HITS = centre(JOB.points) + (1 << np.arange(JOB.units))
WRONG = 1 << (JOB.units + 1)
"""What rank 0 counts too much in a unit, if it is wrong; rank r, 4^r times that."""


@functools.cache
def first_units(number: int, first: int = 0) -> Tally:
    units = range(first, first + number)
    return Tally.of(JOB, units, HITS[units.start : units.stop])


def units_in(tally: Tally) -> set[int]:
    """Return the units of a tally, and assert that it has none of them twice."""
    rest = tally.hits - tally.units * centre(JOB.points)
    units = {unit for unit in range(JOB.units) if rest >> unit & 1}
    assert len(units) == tally.units, "a unit is there more than once"
    assert sum((first_units(1, unit) for unit in units), Tally()) == tally
    return units


@dataclass(frozen=True)
class Case:
    """A run, and what happens in it. Numbers of polls and of rounds are those of each rank by itself."""

    ranks: int
    schedule: Schedule
    resumed: int = 0
    """Units that were counted before."""
    shard: tuple[int, int] = (1, 1)
    logs: bool = False
    """True with a trial log."""
    speeds: Sequence[int] = (1, 1, 1, 1)
    first_units: int = 1
    """Units of each rank in the first round."""
    stops: Sequence[int | None] = (None,) * 4
    """By rank, the poll in which it hears of a request to stop."""
    errors: Sequence[int | None] = (None,) * 4
    """By rank, the count in which an exception is raised."""
    wrong: Sequence[int | None] = (None,) * 4
    """By rank, the count after which the known answers are wrong."""
    audit: float = 0.0
    """Share of the units that two ranks count."""
    periods: Sequence[int] = (0,) * 4
    """By rank, every how many units it counts wrongly; 0 for never."""

    @property
    def liars(self) -> set[int]:
        """Ranks that count units wrongly."""
        return {rank for rank, period in enumerate(self.periods) if period}

    def hits(self, rank: int, units: range) -> NDArray[np.int64]:
        """Return the hits that a rank counts."""
        period = self.periods[rank]
        are_wrong = np.array([period > 0 and (unit + rank) % period == 0 for unit in units], np.bool_)
        return HITS[units.start : units.stop] + are_wrong * (WRONG << 2 * rank)

    def check_shard(self, shard: Shard, excluded: Collection[int]) -> None:
        """Assert that a tally is that of its units, but for units that ranks not excluded count wrongly."""
        units = set(range(self.begun.units.start, shard.counted_to)) - {
            unit for gap in shard.gaps for unit in gap
        }
        excess = shard.tally.hits - sum(int(HITS[unit]) for unit in units)
        assert (shard.tally.units, excess >= 0, excess % WRONG) == (len(units), True, 0)
        if self.liars <= set(excluded):
            assert shard.tally == sum((first_units(1, unit) for unit in units), Tally())
        assert shard.proven == first_units(shard.proven.units, self.begun.units.start)

    @property
    def begun(self) -> Shard:
        shard = Shard(JOB, *self.shard)
        usage = Usage(runs=1, rounds=1) if self.resumed else Usage()
        return Shard(JOB, *self.shard, first_units(self.resumed, shard.units.start), usage)


class Simulation:
    """A run of the product on all ranks of a case, which is checked at each step."""

    current: ClassVar["Simulation"]

    def __init__(self, case: Case) -> None:
        self.case, self.world = case, World(case.ranks, case.schedule)
        Simulation.current = self
        self.owners: dict[int, int] = {}
        """The last rank that has counted each unit."""
        self.reports: list[tuple[Result, dict[int, int]]] = []
        """What has been reported, by one rank after the other, with the owners at that time."""
        self.own_rows: dict[int, RankStats] = {}
        """A rank's own statistics, by rank."""
        self.failed: set[int] = set()
        """Ranks that have ended by an error of their own."""
        self.left: set[int] = set()
        """Ranks that have ended after they had heard of a report."""
        self.errors: list[CollectiveError] = []
        """Errors of all ranks."""
        self.nanoseconds = [0] * case.ranks
        self._states: dict[int, tuple[Team, State]] = {}
        self._seen: dict[int, Any] = {}
        self.world.on_step = self.check_states
        self.world.run(self._main)
        for problem in self.world.problems:
            raise problem

    def _main(self, comm: Comm) -> None:
        try:
            Rank(self, comm).run()
            self.left.add(this_rank())
        except CollectiveError as error:
            self.errors.append(error)
        except Exception as error:
            if not (isinstance(error, MemoryError) or "known" in str(error)):  # known answers
                raise
            self.failed.add(this_rank())

    def check_states(self) -> None:
        """Assert that every state of a rank is that of the first units."""
        for rank, (own_team, state) in self._states.items():
            committed = state.account.committed
            if self._seen.get(rank) is not committed:
                self._seen[rank] = committed
                excluded = committed.audit[1] if committed.audit else ()
                self.case.check_shard(committed.shard, {own_team.ranks[place].rank for place in excluded})
                assert committed.audit or not committed.shard.gaps
                if not self.case.audit:
                    assert committed.shard.tally.units >= self.case.begun.tally.units
                if not self.case.liars:
                    assert units_in(committed.counted) >= units_in(committed.shard.tally)

    def note_state(self, rank: int, team: Team, state: State) -> None:
        self._states[rank] = team, state


class Rank:
    """A rank as `cli.run` and `cli.ranks` drive it, but for files and signals."""

    def __init__(self, simulation: Simulation, comm: Comm) -> None:
        self.simulation, self.case, self.number = simulation, simulation.case, this_rank()
        self.survivors = Survivors(comm, self._watch)  # type: ignore[arg-type]
        self.team: Team | None = None
        self.state: State | None = None
        self.status: int | None = None
        self.log: list[int] = []
        """Hits of units as in a trial log."""
        self._polls = self._counts = 0
        self._stop = Stop(self._hears_of_stop)

    def run(self) -> None:
        while True:
            try:
                with ulfm.losses():
                    self._count_and_report()
                    break
            except RankLoss:
                if self.survivors.comm.rank and self.status is not None:
                    break
                self.team = self.survivors.go_on(self.team, self.state, self.case.logs)
                if self.team is None:
                    self.state = None
        self.survivors.depart()

    def _count_and_report(self) -> None:
        comm, heartbeat = self.survivors.comm, self.survivors.heartbeat
        if self.team is None or self.state is None:
            plan = Plan(self.case.begun)
            request = Request("", lambda: plan, lambda: self, survives=True, audit=self.case.audit)  # type: ignore[arg-type,return-value]
            self.team = assemble(comm, request, heartbeat)
            first_points = self.case.first_units * JOB.points
            tuning = Tuning(first_points, round_nanoseconds=4000, growth=2, wait_factor=0, min_nanoseconds=1)
            self.state = State(self.team, tuning, self.survivors.lost)
            self.simulation.note_state(self.number, self.team, self.state)
        else:
            call_on_root(comm, lambda: None, heartbeat.check)  # as files are opened anew
        hooks = Hooks(self._on_round, stop=self._stop, unit_hits=self.case.logs)
        result = count(self.team, comm, hooks, self.state)
        self.simulation.own_rows[self.number] = next(row for row in result.ranks if row.rank == self.number)
        if comm.rank == 0 and self.status is None:
            self._report(result)
        self.status = bcast(comm, self.status, heartbeat.check)
        if comm.rank == 0:
            self.survivors.meet()

    def _report(self, result: Result) -> None:
        self.simulation.world.step()
        if self.case.logs and not result.partial:
            units = self.case.begun.units
            assert self.log == HITS[self.case.begun.counted_to : units.stop].tolist()
        self.simulation.reports.append((result, dict(self.simulation.owners)))
        self.status = 0

    def _on_round(self, round_: Round) -> None:
        self.simulation.world.step()
        if round_.shard:
            self.case.check_shard(round_.shard, ())  # what a checkpoint would save
        if round_.unit_hits is not None:
            assert len(round_.unit_hits) == len(round_.units)
            self.log += round_.unit_hits.tolist()

    @staticmethod
    def _watch(_: object) -> Any:
        return SimpleNamespace(
            check=lambda: None, stop=lambda: None, host=lambda _: "simulated", silent=lambda *_: set()
        )

    def _hears_of_stop(self) -> bool:
        stop = self.case.stops[self.number]
        self._polls += 1
        return stop is not None and self._polls > stop

    # The kernel.

    name, target, source, seconds, warning, units_at_once = "numpy", "", "", 0.0, "", JOB.units

    def count(self, _: Job, units: range, stop: Callable[[], bool]) -> NDArray[np.int64]:
        self._counts += 1
        self.simulation.world.step()
        if self._counts == self.case.errors[self.number]:
            raise MemoryError
        done = 0
        for unit in units:
            if stop():
                break
            if not self.case.audit:
                self.simulation.owners[unit] = self.number
            self.simulation.nanoseconds[self.number] += 1000 * self.case.speeds[self.number]
            done += 1
        return self.case.hits(self.number, units[:done])

    def self_test(self) -> bool:
        return self._counts == 0 or self._counts != self.case.wrong[self.number]


class Stop(StopRequest):
    """A request to stop that reaches each rank when the case says so."""

    def __init__(self, heard: Callable[[], bool]) -> None:
        super().__init__()
        self._is_heard = heard

    def poll(self) -> bool:
        if self._is_heard():
            self.request(15)
        return self.requested

    def disconnect(self, progress: Callable[[], object] = lambda: None) -> None:
        if self._comm is not None:
            collectives.allgather(self._comm, np.zeros(1, np.int64), progress)


@contextlib.contextmanager
def simulated_modules() -> Iterator[None]:
    """Put the simulation in the place of MPI, of the processes of this host, and of time."""

    def nanoseconds() -> int:
        return Simulation.current.nanoseconds[this_rank()]

    def seconds(_: object = None) -> float:
        """Return a time that advances by a second in each step; each host counts from its own start."""
        return 1e4 * (1 + this_rank()) + Simulation.current.world.steps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ulfm, "mpi_module", lambda: MODULE)
        patch.setattr(ulfm, "SETTLE_SECONDS", 0.0)
        patch.setattr(ulfm, "kill_on_host", lambda _: set())
        patch.setattr(outcome, "library_name", lambda: "simulated")
        for module in (team, collectives, recovery):
            patch.setattr(module, "host_name", lambda: "simulated")
        patch.setattr(team, "launch_env", SimpleNamespace(rank=this_rank))
        clock = SimpleNamespace(
            CLOCK_MONOTONIC=None,
            clock_gettime=seconds,
            monotonic=seconds,
            sleep=lambda _: None,
            perf_counter=seconds,
            perf_counter_ns=nanoseconds,
        )
        for clocked in (manager, recovery, round_loop, settlement):
            patch.setattr(clocked, "time", clock)
        for started in (manager, repair):
            patch.setattr(started, "process", SimpleNamespace(seconds_since_process_start=lambda _: 1.0))
        patch.setattr(outcome, "timestamps", SimpleNamespace(mark=seconds))
        yield


def simulate(case: Case) -> Simulation:
    """Run a case, and check all that must be true of it."""
    simulation = Simulation(case)
    check(simulation)
    return simulation


def check(simulation: Simulation) -> None:
    case, world = simulation.case, simulation.world
    if simulation.errors:  # all ranks that were left had errors
        return
    if simulation.failed | set(world.killed) != set(range(case.ranks)):
        assert simulation.reports, "ranks are left, and none has reported"
    for result, owners in simulation.reports:
        check_result(simulation, result, owners)


def check_result(simulation: Simulation, result: Result, owners: dict[int, int]) -> None:
    case = simulation.case
    begun, units = case.begun, case.begun.units
    if case.audit:
        check_audit(case, result)
    else:
        assert result.shard.tally == first_units(result.shard.tally.units, units.start)
    if not case.liars:
        counted = units_in(result.tally)
        assert counted >= units_in(result.shard.tally)
        if all(stop is None for stop in case.stops) and result.kernels_right:
            assert counted == set(units)
        # A kernel that is wrong is only tolerated where no other rank is left.
        assert result.kernels_right or any(case.wrong)
    read = result_file.of_content(result_file.as_json(result).encode())
    assert (read.tally, read.shard.tally) == (result.tally, result.shard.tally)
    # After an exclusion units of earlier runs may be counted again: nobody knows which ranks those had.
    before = [begun.tally, Tally()] if case.audit and result.audit != Audit(case.audit) else [begun.tally]
    sums = [sum(getattr(row, name) for row in result.ranks) for name in ("units", "hits")]
    assert sums in [[result.tally.units - each.units, result.tally.hits - each.hits] for each in before]
    assert sum(record.hits for record in result.timeline.records) == sums[1]
    steps = simulation.world.steps
    assert result.usage.round_seconds - begun.usage.round_seconds < steps
    for each in result.repairs:
        assert 0 <= each.seconds < steps
        assert 0 <= each.cost_seconds < steps
    lost = set(result.losses)
    assert lost <= simulation.failed | simulation.left | set(simulation.world.killed)
    own = set[int]() if case.liars else units_in(result.tally) - units_in(begun.tally)
    for row in result.ranks:
        if row.rank not in lost and not case.audit:
            assert row.hits == sum(int(HITS[unit]) for unit in own if owners[unit] == row.rank)


def check_audit(case: Case, result: Result) -> None:
    """Assert that an audited result is right as far as it says so, and that it blames no sound rank."""
    assert result.audit
    excluded = {rank.rank for rank in result.audit.wrong}
    for rank in result.audit.wrong:
        assert rank.rank in case.liars if rank.unit is not None else case.wrong[rank.rank]
    case.check_shard(result.shard, excluded)
    for unsettled in result.audit.unsettled:
        assert {opinion.rank for opinion in unsettled.opinions} & case.liars
    ends_early = not result.kernels_right or result.audit.unsettled or any(case.stops)
    assert ends_early or result.shard.complete
