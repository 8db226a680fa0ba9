"""The recovery from losses in simulated MPI, through many orders of messages, deaths and repairs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.recovery_model import Case, simulate, simulated_modules
from support.simulated_mpi import Schedule


@pytest.fixture(autouse=True, scope="module")
def _simulated() -> Iterator[None]:
    with simulated_modules():
        yield


@st.composite
def cases(draw: st.DrawFn) -> Case:
    ranks = draw(st.integers(2, 4))
    numbers = st.integers(0, ranks - 1)
    first = draw(st.tuples(st.integers(1, 65 * ranks), numbers | st.just(0)))
    later = draw(st.lists(st.tuples(st.integers(0, 40), numbers), max_size=ranks))
    # A rank that is ahead when it dies leaves the others at as many points as possible.
    order = draw(st.just([first[1]]) | st.permutations(range(ranks)))
    schedule = Schedule(
        deaths=[first, *later],
        order=order,
        turns=draw(st.just([]) | st.lists(st.integers(1, 65 * ranks), max_size=4)),
        choices=draw(st.lists(st.booleans(), min_size=2, max_size=20)),
    )
    other = draw(st.sampled_from([None, None, None, "stops", "errors", "wrong"]))
    by_rank = draw(st.lists(st.none() | st.integers(1, 6), min_size=ranks, max_size=ranks))
    logs = draw(st.booleans())  # and then all units in one run
    case = Case(
        ranks,
        schedule,
        resumed=0 if logs else draw(st.sampled_from([0, 0, 1, 3, 6])),
        shard=(1, 1) if logs else draw(st.sampled_from([(1, 1), (2, 2)])),
        logs=logs,
        speeds=draw(st.lists(st.integers(1, 9), min_size=ranks, max_size=ranks)),
        first_units=draw(st.integers(1, 3)),
    )
    changes: dict[str, Any] = {other: by_rank} if other else {}
    return replace(case, **changes)


@st.composite
def audited_cases(draw: st.DrawFn) -> Case:
    case = draw(cases())
    liars = draw(st.sets(st.integers(0, case.ranks - 1), max_size=draw(st.sampled_from([1, 1, 2, 4]))))
    periods = [draw(st.sampled_from([1, 2, 3, 5])) if rank in liars else 0 for rank in range(case.ranks)]
    return replace(case, audit=draw(st.sampled_from([0.2, 0.5, 1.0])), periods=periods, logs=False)


@settings(max_examples=100)
@given(audited_cases())
def test_wrong_ranks_of_an_audited_run_leave_nothing_wrong_though_others_die(case: Case) -> None:
    simulate(case)


@settings(max_examples=200)
@given(cases())
def test_no_unit_is_lost_or_counted_twice(case: Case) -> None:
    simulate(case)


@pytest.mark.parametrize(("victim", "logs"), [(0, False), (0, True), (1, False)])
def test_each_death_of_one_of_two_ranks_and_all_that_may_follow(victim: int, logs: bool) -> None:
    """The one that dies is ahead of the other, which may still complete what it could, or notice the loss."""
    step, reached = 0, True
    while reached:
        step += 1
        choices: list[bool] | None = []
        while choices is not None:
            schedule = Schedule(deaths=[(step, victim)], order=[victim], choices=choices)
            reached = bool(simulate(Case(2, schedule, logs=logs, first_units=3)).world.killed)
            choices = following(schedule.made)
    assert step > 60


def following(choices: list[bool]) -> list[bool] | None:
    """Return the choices of the run after one with these, in a search of all; None after the last one."""
    if True not in choices:
        return None
    last = len(choices) - 1 - choices[::-1].index(True)
    return [*choices[:last], False]
