"""Disputes about the hits of units, and verdicts on the ranks."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.parallel.disputes import Dispute, Verdict, judge, third_ranks

RIGHT = 785


def dispute(counter: int, auditor: int, unit: int = 9, units: int = 1, **hits: int) -> Dispute:
    found = {"counted": RIGHT + 1, "recounted": RIGHT} | hits
    return Dispute(unit, counter, found["counted"], auditor, found["recounted"], units)


def test_third_rank_is_of_another_host_than_both_others() -> None:
    assert third_ranks([dispute(0, 2)], [0, 0, 1, 1, 2], range(5)) == [4]
    assert third_ranks([dispute(0, 2)], [0, 0, 1, 1, 2], [0, 1, 2, 3]) == [1]
    assert third_ranks([dispute(1, 0)], [0, 0, 0, 1], range(4)) == [3]
    assert third_ranks([dispute(0, 1)], [0, 0, 0], range(3)) == [2]


def test_there_is_no_third_rank_of_two_and_none_that_is_not_trusted() -> None:
    assert third_ranks([dispute(0, 1)], [0, 1], range(2)) == [None]
    assert third_ranks([dispute(0, 1)], [0, 1, 2], [0, 1]) == [None]
    assert third_ranks([dispute(0, 1)], [0, 1, 2, 2], [0, 1, 3]) == [3]


def test_third_rank_is_in_no_dispute_if_possible() -> None:
    """The wrong rank 0 differs from 1 and from 2."""
    disputes = [dispute(0, 1), dispute(0, 2)]
    assert third_ranks(disputes, [0, 1, 2, 3], range(4)) == [3, 3]
    assert third_ranks(disputes, [0, 1, 2], range(3)) == [2, 1]


def test_many_disputes_are_divided_over_the_ranks() -> None:
    disputes = [dispute(0, 1, unit=unit) for unit in range(6)]
    assert sorted(map(str, third_ranks(disputes, range(5), range(5)))) == sorted("223344")


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Dispute], list[int], list[int]]:
    ranks = draw(st.integers(2, 6))
    pairs = st.permutations(range(ranks)).map(lambda order: dispute(order[0], order[1]))
    hosts = draw(st.lists(st.integers(0, 3), min_size=ranks, max_size=ranks))
    trusted = draw(st.sets(st.integers(0, ranks - 1)))
    return draw(st.lists(pairs, max_size=5)), hosts, sorted(trusted)


@given(cases())
def test_third_rank_is_the_best_of_all(case: tuple[list[Dispute], list[int], list[int]]) -> None:
    disputes, hosts, trusted = case
    for each, third in zip(disputes, third_ranks(disputes, hosts, trusted), strict=True):
        parties = {each.counter, each.auditor}
        candidates = set(trusted) - parties
        if third is None:
            assert not candidates
            continue
        assert third in candidates
        apart = {rank for rank in candidates if hosts[rank] not in {hosts[party] for party in parties}}
        assert third in (apart or candidates)
        involved = {rank for other in disputes for rank in (other.counter, other.auditor)}
        assert third not in involved or (apart or candidates) <= involved


def test_the_one_who_is_alone_is_wrong() -> None:
    case = [dispute(0, 1, units=3)]
    assert judge(case, [2], [RIGHT]) == ([Verdict(0, 9, RIGHT + 1, RIGHT, 3)], [])
    assert judge(case, [2], [RIGHT + 1]) == ([Verdict(1, 9, RIGHT, RIGHT + 1, 3)], [])


def test_three_answers_or_no_third_rank_settle_nothing() -> None:
    assert judge([dispute(0, 1)], [2], [RIGHT + 2]) == ([], [0])
    assert judge([dispute(0, 1)], [None], [None]) == ([], [0])


def test_units_of_all_disputes_that_a_rank_has_lost_are_added_up() -> None:
    """It is wrong as counter and as auditor; the unit of the first dispute is told."""
    cases = [dispute(0, 1, 9, 3), dispute(2, 0, 5, 4, counted=RIGHT, recounted=7)]
    assert judge(cases, [3, 3], [RIGHT, RIGHT]) == ([Verdict(0, 9, RIGHT + 1, RIGHT, 7)], [])


def test_dispute_without_answer_needs_none_if_one_of_its_ranks_is_wrong_in_another() -> None:
    cases = [dispute(0, 1), dispute(0, 2), dispute(3, 4)]
    verdicts, unsettled = judge(cases, [2, None, None], [RIGHT, None, None])
    assert [verdict.wrong for verdict in verdicts] == [0]
    assert unsettled == [2]
    # The third rank of the first dispute is itself wrong, as the second one shows.
    assert judge([dispute(0, 1), dispute(2, 3)], [2, 4], [7, RIGHT])[1] == []


def test_two_wrong_ranks_are_both_found() -> None:
    cases = [dispute(0, 1), dispute(3, 2, counted=3)]
    verdicts, unsettled = judge(cases, [4, 5], [RIGHT, RIGHT])
    assert [verdict.wrong for verdict in verdicts] == [0, 3]
    assert unsettled == []


def test_right_ranks_are_never_found_wrong_while_wrong_ones_differ() -> None:
    """Any of three ranks may be wrong, each in its own way."""
    for wrong in product([False, True], repeat=3):
        counted, recounted, answer = (RIGHT + (k + 1) * is_wrong for k, is_wrong in enumerate(wrong))
        if counted == recounted:
            continue
        case = [dispute(0, 1, counted=counted, recounted=recounted)]
        verdicts, unsettled = judge(case, [2], [answer])
        assert all(wrong[verdict.wrong] and verdict.right == RIGHT for verdict in verdicts)
        assert bool(verdicts) == (sum(wrong) == 1)
        assert bool(unsettled) == (sum(wrong) > 1)
