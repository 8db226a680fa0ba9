"""Results of audited runs on two ranks of each of three hosts, with real hits and a made-up audit."""

from collections.abc import Sequence
from dataclasses import replace

from mpi_pi.model.audit import Audit, Opinion, Unsettled, WrongRank
from mpi_pi.model.result import LostRank, Result
from support import runs

EXCLUDED_IN = 4
"""Round in which the first rank is excluded; the next one is in the round after."""


def audited(wrong: Sequence[int] = (), shard: tuple[int, int] = (1, 1), share: float = 0.1) -> Result:
    """Return a run in which ranks were found wrong, and their units counted again by others."""
    # Such a run has the losses of ranks that are lost, but that they are excluded and keep their hosts.
    losses = {EXCLUDED_IN + number: [rank] for number, rank in enumerate(wrong)}
    result = runs.run(3, 2, losses=losses, shard=shard)
    repairs = tuple(replace(repair, lost=(), excluded=repair.lost) for repair in result.repairs)
    usage = replace(result.usage, recounted_units=round(share * result.tally.units))
    found = tuple(_wrong(result, rank) for repair in repairs for rank in repair.excluded)
    work = replace(result.shard, usage=usage)
    return replace(result, shard=work, usage=usage, repairs=repairs, audit=Audit(share, found))


def proven(shard: tuple[int, int] = (1, 1)) -> Result:
    """Return a run in which every unit was counted by two ranks."""
    result = audited(share=1.0, shard=shard)
    return replace(result, shard=replace(result.shard, proven=result.tally))


def undecided() -> Result:
    """Return a run with a unit of which three ranks have counted different hits."""
    result = audited()
    ranks = [result.ranks[rank] for rank in (0, 2, 4)]
    opinions = tuple(
        Opinion(row.rank, row.info.host, row.info.cores, 785 + number) for number, row in enumerate(ranks)
    )
    return replace(result, audit=Audit(0.1, (), (Unsettled(7, opinions),)))


def _wrong(result: Result, lost: LostRank) -> WrongRank:
    cores = result.ranks[lost.rank].info.cores
    return WrongRank(lost.rank, lost.host, cores, 17, 786, 785, 2, 50, 3000)
