"""Which ranks go on after a cut of the network: never two groups that know nothing of each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.parallel.recovery import CutOff, require_majority


def goes_on(left: set[int], *maybe_alive: set[int]) -> bool:
    """Return whether the ranks left go on, of which each has one set of lost ranks that may be alive."""
    try:
        require_majority(sorted(left), [frozenset(doubtful) for doubtful in maybe_alive or [set()]])
    except CutOff:
        return False
    return True


@pytest.mark.parametrize(
    ("left", "doubtful", "expected"),
    [
        ({1, 2, 3}, set(), True),  # all others are dead for certain
        ({3}, set(), True),
        ({0}, {1}, True),
        ({1}, {0}, False),
        ({0}, {1, 2}, False),
        ({1, 2}, {0}, True),
        ({0, 1}, {2, 3}, True),
        ({2, 3}, {0, 1}, False),
        ({0, 1, 2}, {3, 4, 5}, True),
        ({3, 4, 5}, {0, 1, 2}, False),
        ({0, 4, 5}, {1, 2, 3}, True),
        ({1, 2, 3}, {0, 4, 5}, False),
    ],
)
def test_larger_side_goes_on_or_of_equal_ones_that_of_the_lowest_rank(
    left: set[int], doubtful: set[int], expected: bool
) -> None:
    assert goes_on(left, *[doubtful] * len(left)) is expected


def test_rank_is_dead_if_one_of_those_left_knows_it_for_certain() -> None:
    assert not goes_on({1, 2}, {0, 3, 4}, {0, 3, 4})
    assert goes_on({1, 2}, {0, 3, 4}, {3, 4})
    assert not goes_on({1, 2}, {0, 3, 4}, {0, 3})  # of equal sides the one with rank 0 would go on


def test_text_of_the_error_has_both_sides() -> None:
    with pytest.raises(CutOff, match=r"^1 rank cut off from 2 silent ranks: 0, 2; those may be going on"):
        require_majority([1], [frozenset({0, 2})])


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[set[int]], set[int]]:
    """Return groups of ranks that are cut off from each other, and dead ones."""
    group_of = draw(st.lists(st.integers(-1, 2), min_size=1, max_size=9))
    groups = [{rank for rank, group in enumerate(group_of) if group == number} for number in range(3)]
    return [group for group in groups if group], {rank for rank, group in enumerate(group_of) if group < 0}


@given(cuts(), st.data())
def test_never_do_two_groups_go_on(cut: tuple[list[set[int]], set[int]], data: st.DataObject) -> None:
    """Every group may take some of the dead for alive, and each of its ranks yet more of them."""
    groups, dead = cut
    going_on = 0
    for group in groups:
        alive = set().union(*groups) - group
        views = [alive | {rank for rank in dead if data.draw(st.booleans())} for _ in group]
        going_on += goes_on(group, *views)
    assert going_on <= 1


@given(cuts())
def test_one_of_two_groups_goes_on_if_the_dead_are_known(cut: tuple[list[set[int]], set[int]]) -> None:
    groups, _ = cut
    if len(groups) <= 2:
        alive = [set().union(*groups) - group for group in groups]
        sides = [
            goes_on(group, *[doubtful] * len(group)) for group, doubtful in zip(groups, alive, strict=True)
        ]
        assert sum(sides) == len(groups[:1])
