"""Consistency of a result that was read: its tally, ranks, rounds and repairs agree with each other."""

import math
from itertools import accumulate

from mpi_pi.model.result import Repair, Result


def check(result: Result) -> None:
    """Raise ValueError unless members that repeat each other agree.

    What this run has counted is in ranks and rounds; what earlier runs have counted is in the tally alone.
    """
    _check_numbers(result)
    alone = result.usage.runs == 1
    for what in ("units", "points", "hits"):
        total = sum(getattr(rank, what) for rank in result.ranks)
        _check_sum(what, "ranks", total, "tally", getattr(result.tally, what), alone)
    _check_repairs(result)
    if result.timeline.records:
        _check_rounds(result)


def _check_numbers(result: Result) -> None:
    """Raise ValueError unless ranks are numbered from 0 on, but for those lost before the first round."""
    numbers = [rank.rank for rank in result.ranks]
    missing = [rank for rank in result.losses.keys() - set(numbers) if result.losses[rank].round == 0]
    if numbers != sorted(numbers) or sorted(numbers + missing) != list(range(len(numbers + missing))):
        raise ValueError("ranks: are not numbered from 0 on, but for those lost before the first round")
    if result.losses.keys() >= set(numbers):
        raise ValueError("repairs: no rank is left")
    if result.shards:
        _check_shards(result, len(numbers + missing))


def _check_shards(result: Result, started_ranks: int) -> None:
    """Raise ValueError unless the ranks of each shard are numbered on from those of the one before."""
    stops = accumulate(shard.ranks for shard in result.shards)
    for shard, first, stop in zip(result.shards, result.first_ranks, stops, strict=True):
        numbers = [rank.rank for rank in result.ranks[stop - shard.ranks : stop]]
        if not first <= numbers[0] <= numbers[-1] < first + shard.started_ranks:
            raise ValueError("the ranks are not those of the shards")
    if sum(shard.started_ranks for shard in result.shards) != started_ranks:
        raise ValueError("the ranks are not those of the shards")


def _check_repairs(result: Result) -> None:
    """Raise ValueError unless repairs are in order, each of ranks of the run that were not lost before."""
    hosts = {rank.rank: rank.info.host for rank in result.ranks}
    if sum(len(repair.lost) for repair in result.repairs) > len(result.losses):
        raise ValueError("repairs: a rank is lost twice")
    before = (0, 0)
    for place, repair in enumerate(result.repairs):
        shards = {result.shard_of(rank.rank) for rank in repair.ranks}
        if len(shards) != 1 or not before <= (before := (max(shards), repair.round)):
            raise ValueError(f"repairs[{place}]: does not follow on the one before")
        if repair.round > result.rounds_of(max(shards)):
            raise ValueError(f"repairs[{place}].round: there are fewer rounds")
        if repair.redone_points > result.shard.points:
            raise ValueError(f"repairs[{place}].redone_points: there are fewer points")
        for lost in repair.ranks:
            if hosts.get(lost.rank, None if repair.round else lost.host) != lost.host:
                raise ValueError(f"repairs[{place}]: there was no rank {lost.rank} on host {lost.host}")


def _check_rounds(result: Result) -> None:
    """Raise ValueError unless the rounds are consecutive, and add up to the ranks and the tally."""
    records, alone = result.timeline.records, result.usage.runs == 1
    number, now = 0, 0.0
    for place, record in enumerate(records):
        if not (
            number == record.first_round <= record.last_round
            and now <= record.start_seconds <= record.end_seconds
        ):
            raise ValueError(f"rounds[{place}]: does not follow on the one before")
        if record.hits > sum(record.points.tolist()) or (record.lost_units > record.units).any():
            raise ValueError(f"rounds[{place}]: has more hits than points, or more lost units than units")
        number, now = record.last_round + 1, record.end_seconds
    for repair in result.repairs:
        _check_idle_after(repair, result)
    _check_sum("rounds", "rounds", number, "spent", result.usage.rounds, alone)
    _check_sum("hits", "rounds", sum(record.hits for record in records), "tally", result.tally.hits, alone)
    for name in ("units", "points", "count_nanoseconds"):
        columns = zip(*(getattr(record, name).tolist() for record in records), strict=True)
        for rank, total in zip(result.ranks, map(sum, columns), strict=True):
            # A double holds the nanoseconds of up to a hundred days.
            own = round(rank.count_seconds * 1e9) if name == "count_nanoseconds" else getattr(rank, name)
            if not math.isclose(own, total, rel_tol=1e-9 if name == "count_nanoseconds" else 0):
                raise ValueError(f"ranks[{rank.rank}]: has {own} {name}, and its rounds together {total}")


def _check_idle_after(repair: Repair, result: Result) -> None:
    """Raise ValueError if a rank has counted anything in a round after its loss."""
    numbers = {rank.rank for rank in repair.ranks}
    lost = [place for place, rank in enumerate(result.ranks) if rank.rank in numbers]
    for place, record in enumerate(result.timeline.records):
        columns = (record.units, record.points, record.count_nanoseconds)
        if record.first_round >= repair.round and any(column[lost].any() for column in columns):
            raise ValueError(f"rounds[{place}]: a rank has counted that was lost or excluded before")


def _check_sum(what: str, addends: str, total: int, where: str, known: int, exact: bool) -> None:
    """Raise ValueError if `total` exceeds `known`, or with `exact` differs from it."""
    if total > known or (exact and total < known):
        raise ValueError(f"{addends}: have {total} {what} together, and {where} has {known}")
