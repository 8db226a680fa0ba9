"""Schedules in which every pair of some places meets, in both directions."""

from collections.abc import Sequence

Pair = tuple[int, int]


def one_by_one(places: Sequence[int]) -> list[list[Pair]]:
    """Return rounds of a single pair each.

    >>> one_by_one([0, 1, 2])
    [[(0, 1)], [(0, 2)], [(1, 2)]]
    """
    return [[(a, b)] for index, a in enumerate(places) for b in places[index + 1 :]]


def tournament(places: Sequence[int]) -> list[list[Pair]]:
    """Return rounds in which everybody meets somebody else, by the circle method of tournaments.

    The first place stays, and the others move on by one from round to round. Of an odd number of places, one
    has a rest in each round.

    >>> tournament([0, 1, 2, 3])
    [[(0, 3), (1, 2)], [(0, 2), (1, 3)], [(0, 1), (2, 3)]]
    """
    circle: list[int | None] = [*places, *[None] * (len(places) % 2)]
    rounds = []
    for _ in circle[1:]:
        facing = zip(circle[: len(circle) // 2], reversed(circle), strict=False)
        rounds.append([(min(a, b), max(a, b)) for a, b in facing if a is not None and b is not None])
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return [sorted(pairs) for pairs in rounds]


def both_ways(rounds: Sequence[Sequence[Pair]]) -> list[list[Pair]]:
    """Return rounds, each followed by one of the same pairs the other way round.

    >>> both_ways([[(0, 1), (2, 3)]])
    [[(0, 1), (2, 3)], [(1, 0), (3, 2)]]
    """
    return [list(pairs) for there in rounds for pairs in (there, [(b, a) for a, b in there])]
