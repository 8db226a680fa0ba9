"""Lines and messages of an audit."""

from dataclasses import replace

import pytest

from mpi_pi.model.audit import Audit, Opinion, Unsettled, WrongRank
from mpi_pi.model.result import Result
from mpi_pi.report import audit as audit_report
from support import audited_runs, runs
from support.texts import report_text, values

ONE = WrongRank(7, "node3", "5", 1234, 786, 785, 3, 120, 10**6)


def line(result: Result) -> str:
    return values(report_text(result))["Audit"]


def test_report_of_a_run_without_an_audit_has_no_line() -> None:
    assert "Audit" not in values(report_text(runs.run(3, 2)))


@pytest.mark.parametrize(
    ("recounted", "share"),
    [(0, "0.0%"), (1, "0.1%"), (9, "0.94%"), (10, "1.0%"), (480, "50.0%"), (960, "100.0%"), (961, "100.0%")],
)
def test_share_of_recounted_units_has_two_digits(recounted: int, share: str) -> None:
    result = audited_runs.audited()
    usage = replace(result.usage, recounted_units=recounted)
    assert result.tally.units == 960
    assert line(replace(result, usage=usage)) == f"{share} of units recounted, 0 of 6 ranks wrong"


@pytest.mark.parametrize(
    ("rank", "text"),
    [
        (ONE, "node3 rank 7 core 5: 3 of 120 units"),
        (ONE._replace(cores="0-3,8", compared_units=1), "node3 rank 7 cores 0-3,8: 3 of 1 unit"),
        (ONE._replace(unit=None), "node3 rank 7 core 5: known answers"),
        (ONE._replace(cores=""), "node3 rank 7 cores unknown: 3 of 120 units"),
    ],
)
def test_wrong_rank_is_named(rank: WrongRank, text: str) -> None:
    result = replace(audited_runs.audited(), audit=Audit(0.1, (rank,)))
    assert line(result) == f"10.0% of units recounted, 1 of 6 ranks wrong ({text})"


def test_of_many_wrong_ranks_the_first_ten_are_named() -> None:
    ranks = tuple(ONE._replace(rank=rank) for rank in range(13))
    text = line(replace(audited_runs.audited(), audit=Audit(0.1, ranks)))
    assert text.startswith(
        "10.0% of units recounted, 13 of 6 ranks wrong (node3 rank 0 core 5: 3 of 120 units; "
    )
    assert "rank 9 core" in text
    assert "rank 10 core" not in text
    assert text.endswith(" and 3 more)")


REST = "; it counts no more, and others count its units again"


def test_messages_are_about_ranks_that_have_not_been_told_of() -> None:
    others = (
        ONE._replace(rank=8, wrong_units=1),
        ONE._replace(rank=9, wrong_units=2),
        ONE._replace(unit=None),
    )
    counted = "counted 786 hits in unit 1234, which has 785"
    assert list(audit_report.messages(Audit(0.1, (ONE, *others)), 0)) == [
        f"host node3: rank 7, core 5, {counted}, and wrong hits in 2 more units{REST}",
        f"host node3: rank 8, core 5, {counted}{REST}",
        f"host node3: rank 9, core 5, {counted}, and wrong hits in 1 more unit{REST}",
        f"host node3: rank 7, core 5, gets known answers wrong{REST}",
    ]
    assert len(list(audit_report.messages(Audit(0.1, (ONE, *others)), 3))) == 1
    assert list(audit_report.messages(Audit(0.1, (ONE,)), 1)) == []


def test_message_on_a_dispute_names_all_opinions() -> None:
    opinions = (Opinion(0, "node1", "0", 785), Opinion(3, "node2", "1-2", 786))
    (text,) = audit_report.messages(Audit(0.1, (ONE,), (Unsettled(9, opinions),)), 1)
    assert text == (
        "unit 9: rank 0 on host node1, core 0, counted 785 hits;"
        " rank 3 on host node2, cores 1-2, counted 786 hits; nobody can tell which is right"
    )
