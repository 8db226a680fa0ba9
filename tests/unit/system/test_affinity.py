"""Descriptions of placements, and oversubscription by Hall's theorem against all assignments."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.system.affinity import format_affinity, oversubscribed

ALL = frozenset(range(4))


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ([(ALL, 1)] * 4, "4 threads on 4 cores, not bound"),
        ([(ALL, 4)], "4 threads on 4 cores, not bound"),
        ([(frozenset({k}), 1) for k in range(4)], "4 threads on 4 cores, bound to 1 core each"),
        ([(ALL, 1)] * 3, "3 threads on 4 cores (1 left to the system), not bound"),
        ([(ALL, 1)] * 5, "5 threads on 4 cores (more threads than cores to run on), not bound"),
        (
            [(frozenset({0}), 1)] * 2,
            "2 threads on 4 cores (more threads than cores to run on), bound to 1 core each",
        ),
        ([(frozenset({0, 1}), 2)], "2 threads on 4 cores (2 left to the system), bound to 2 cores each"),
        (
            [(frozenset({0, 1}), 1), (frozenset({2}), 1)],
            "2 threads on 4 cores (2 left to the system), bound to 1 or 2 cores each",
        ),
    ],
)
def test_placement_is_described(workers: list[tuple[frozenset[int], int]], words: str) -> None:
    assert format_affinity(workers, 4) == words


@given(
    st.lists(st.sampled_from([range(4), range(2), range(2, 4), [0], [1], [2], [3]]), min_size=1, max_size=5)
)
def test_oversubscribed_if_no_assignment_gives_each_thread_a_core(masks: list[list[int]]) -> None:
    sets = [frozenset(mask) for mask in masks]
    placed = any(len(set(ways)) == len(ways) for ways in itertools.product(*sets))
    assert oversubscribed([(cores, 1) for cores in sets]) == (not placed)
