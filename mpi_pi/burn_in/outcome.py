"""Outcome of a burn-in: hosts and ranks, and for each phase what they counted and what sensors told.

Plain values; the names of the fields are JSON members, unless `document` says otherwise.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from mpi_pi.burn_in.observer import HostWatch
from mpi_pi.burn_in.phases import BY_NAME, Phase
from mpi_pi.model.audit import Unsettled, WrongRank


class HostFacts(NamedTuple):
    """Facts about a host."""

    host: str
    cpu: str
    architecture: str
    cpus: int
    """Hardware threads."""
    cores_alike: bool
    """True if all cores have the same highest clock and the same capacity."""
    oversubscribed: bool
    """True if ranks have to take turns on some cores."""


class RankFacts(NamedTuple):
    """Facts about a rank."""

    rank: int
    host: int
    """Place of its host among the hosts."""
    cores: str
    """Cores that it may use, such as 0-3."""
    threads: int
    kernel: str
    kernel_target: str


class RankWork(NamedTuple):
    """What a rank has counted in a phase. None stands for what is not known."""

    points: int
    """Points that it counted, those that it recounted for other ranks among them."""
    points_per_second: float | None
    """Rate while it counted and had its cores: points per CPU time, of all of its threads together."""
    first_points_per_second: float | None
    """The same in the first window of the phase; see `meter.window`."""
    last_points_per_second: float | None
    core_share: float | None
    """CPU time over wall time while it counted, 0 … 1: the rest of its cores' time went to other programs."""
    right: bool
    """True if its kernel counted the known answers after each round."""
    rates: tuple[int | None, ...]
    """Rate in each step of the phase, in points per second; None where it counted nothing."""

    @property
    def seconds(self) -> float:
        """CPU time of each of its threads while it counted."""
        return self.points / self.points_per_second if self.points_per_second else 0.0


@dataclass(frozen=True, kw_only=True)
class PhaseOutcome:
    """Outcome of a phase."""

    name: str
    planned_seconds: float
    start_seconds: float
    """Time at which it began, since the burn-in did."""
    seconds: float
    rounds: int
    units: int
    """Units that were counted, each once."""
    recounted_units: int
    """Units of these that were counted a second time, by another rank."""
    step_seconds: float
    ranks: tuple[RankWork, ...]
    hosts: tuple[HostWatch, ...]
    wrong: tuple[WrongRank, ...] = ()
    unsettled: tuple[Unsettled, ...] = ()
    """Units on which ranks disagree, and of which nobody can tell who is right; they have ended the phase."""

    @property
    def phase(self) -> Phase:
        """The phase."""
        return BY_NAME[self.name]


@dataclass(frozen=True, kw_only=True)
class BurnIn:
    """Outcome of a burn-in."""

    seconds: float
    """The time that was asked for."""
    audit: float
    """Share of the units that was to be counted twice."""
    seed: int
    mpi_library: str
    hosts: tuple[HostFacts, ...]
    ranks: tuple[RankFacts, ...]
    phases: tuple[PhaseOutcome, ...]
    """Those that have begun."""
    stopped: str = ""
    """Name of the signal that stopped it; "" without one."""
    lost: str = ""
    """Which ranks fell silent, and so ended it; "" if none did."""

    @property
    def complete(self) -> bool:
        """True if it did not end early."""
        return not (self.stopped or self.lost)

    @cached_property
    def ranks_of_hosts(self) -> list[list[int]]:
        """The ranks of each host."""
        ranks: list[list[int]] = [[] for _ in self.hosts]
        for rank in self.ranks:
            ranks[rank.host].append(rank.rank)
        return ranks
