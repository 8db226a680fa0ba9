"""The phases of a burn-in."""

import pytest

from mpi_pi.burn_in import phases
from mpi_pi.burn_in.conduct import Order


def test_phases_fill_the_time() -> None:
    assert sum(phase.share for phase in phases.PHASES) == 1
    order = Order(600.0, 1.0, 7)
    assert [order.end_of(number) for number in range(3)] == [300, 450, 600]


def test_each_phase_has_points_of_its_own() -> None:
    seeds = [Order(600.0, 1.0, 2**70).job(number).seed for number in range(3)]
    assert seeds == [2**70, 2**70 + 1, 2**70 + 2]


def test_round_that_is_counted_twice_takes_a_second() -> None:
    assert phases.round_nanoseconds(1.0) == 500_000_000
    assert phases.round_nanoseconds(0.0) == 1_000_000_000


def test_one_rank_of_each_host_counts_at_a_time() -> None:
    active = phases.taking_turns([0, 1, 0, 0, 1])
    assert active(0) == [True, True, False, False, False]
    assert active(1) == [False, False, True, False, True]
    assert active(2) == [False, True, False, True, False]
    turns = [sum(active(number)[rank] for number in range(600)) for rank in range(5)]
    assert turns == [200, 300, 200, 200, 300]


@pytest.mark.parametrize("hosts", [[0], [0, 1, 2], [0] * 64])
def test_every_rank_has_a_turn(hosts: list[int]) -> None:
    active = phases.taking_turns(hosts)
    assert all(any(active(number)[rank] for number in range(len(hosts))) for rank in range(len(hosts)))
