"""Outcome of an audit: the ranks that were found to count wrongly, and what could not be settled."""

from dataclasses import dataclass
from typing import NamedTuple


class WrongRank(NamedTuple):
    """A rank that has counted wrongly, and was excluded. The names of the fields are JSON members."""

    rank: int
    """Its number in MPI_COMM_WORLD, as in `RankStats`."""
    host: str
    cores: str
    """Cores that the rank may use, such as "0-3,8"."""
    unit: int | None
    """The first unit that it counted differently; None if it was a known answer."""
    counted: int
    """Hits that it counted in that unit; 0 for a known answer."""
    right: int
    """Hits that two other ranks counted in that unit; 0 for a known answer."""
    wrong_units: int
    """Units of the round that it counted differently than the ranks it was compared with."""
    compared_units: int
    """Units in which it was compared with other ranks until then, as the one that counted or recounted."""
    redone_points: int
    """Points that it had counted in this run, and others count again."""


class Opinion(NamedTuple):
    """A number of hits that a rank counted in a unit. The names of the fields are JSON members."""

    rank: int
    """Its number in MPI_COMM_WORLD, as in `RankStats`."""
    host: str
    cores: str
    hits: int


class Unsettled(NamedTuple):
    """A unit on which ranks disagree, and of which nobody can tell who is right."""

    unit: int
    opinions: tuple[Opinion, ...]
    """Those of the rank that counted, of the one that counted again, and of a third one, if there was any."""


@dataclass(frozen=True)
class Audit:
    """Outcome of the audit of a run."""

    share: float
    """Share of the units to be counted a second time, above 0 and up to 1."""
    wrong: tuple[WrongRank, ...] = ()
    """Ranks that were excluded, in the order of time."""
    unsettled: tuple[Unsettled, ...] = ()
    """What ended the run, if it is not empty."""
