"""Losses of ranks in the report on a run."""

import re
from dataclasses import replace

import pytest

from mpi_pi.model.result import LostRank, Repair, Result, Timeline
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Tally
from mpi_pi.report import html as html_report
from mpi_pi.report import losses
from mpi_pi.report.sources import Item
from support import runs
from support.runs import BEFORE_ROUNDS, flame
from support.texts import reasons_in, report_text, values


def with_lost(lost: list[tuple[int, str]], ranks: int = 2000, hosts: int = 1000) -> Result:
    """Return a run on two ranks of each host that lost some of them in round 0, after 0.004 s."""
    repair = Repair(
        lost=tuple(LostRank(*one) for one in lost),
        round=0,
        seconds=0.004,
        redone_points=25_000_000,
        cost_seconds=0.0125,
    )
    return replace(flame(ranks, hosts), repairs=(repair,))


def lost_line(result: Result) -> str:
    return values(report_text(result))["Lost"]


def test_report_without_losses_has_no_lines_and_columns_on_them() -> None:
    text = report_text(runs.run(3, 2), per_rank=True)
    assert not list(losses.lines(runs.run(3, 2)))
    assert "lost" not in text.lower()
    assert "Redone" not in text


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ([(3, "node001")], "rank 3 on host node001"),
        ([(5, "node002"), (3, "node001")], "rank 3 on host node001, rank 5 on host node002"),
        ([(k, "node002") for k in range(4, 8)], "ranks 4 to 7 on host node002"),
        ([(k, "a") for k in (7, 4, 5, 9, 10, 11, 0)], "ranks 0, 4, 5, 7, 9 to 11 on host a"),
        ([(k, "ab"[k % 2]) for k in range(6)], "ranks 0, 2, 4 on host a, ranks 1, 3, 5 on host b"),
        ([(2, ""), (3, "")], "ranks 2, 3 (host unknown)"),
        (
            [(k, "a") for k in (*range(0, 20, 2), 30, 31, 32, 40)],
            "ranks 0, 2, 4, 6, 8, 10, 12, 14, 16, 18 and 4 more on host a",
        ),
        (
            [(k, f"h{k}") for k in range(13)],
            ", ".join(f"rank {k} on host h{k}" for k in range(10)) + " and 3 more hosts",
        ),
    ],
)
def test_lost_ranks_are_named_by_host(lost: list[tuple[int, str]], line: str) -> None:
    assert lost_line(with_lost(lost)) == f"{line} after 0.0040 s, in round 0"


def test_line_tells_in_which_round_ranks_were_lost() -> None:
    result = runs.run(3, 2, losses={BEFORE_ROUNDS: [1], 3: [3], 8: [4, 5]})
    text = report_text(result)
    seconds = [repair.seconds for repair in result.repairs]
    assert re.findall(r"^Lost = (.*)$", text, re.MULTILINE) == [
        "rank 1 (host unknown) before the first round",
        f"rank 3 on host node0002.cluster.example after {seconds[1]:.4f} s, in round 3",
        f"ranks 4, 5 on host node0003.cluster.example after {seconds[2]:.4f} s, after the last round",
    ]
    # 120 of 960 units of 1000 points are in each of 8 rounds.
    assert "\nRedone = 120000 points (12.5 %); 3 repairs cost 1.2000 s\n" in text


def test_losses_stand_below_the_verdict() -> None:
    lost = [(1, "node000")]
    assert "\nVerification = SUCCESSFUL\nLost = rank 1 on host node000 after " in report_text(
        with_lost(lost, 2, 1)
    )
    wrong = replace(with_lost(lost, 2, 1), suspects=("rank 0: is off",))
    assert reasons_in(report_text(wrong)) == ["rank 0: is off"]
    assert "\nReason = rank 0: is off\nLost = rank 1 on host node000 after " in report_text(wrong)
    nothing = replace(
        with_lost(lost, 2, 1), shard=Shard(flame().job), tally=Tally(), rounds=0, timeline=Timeline()
    )
    assert "there is no estimate.\nLost = rank 1 on host node000 after " in report_text(nothing)


def test_of_many_losses_the_first_have_a_line() -> None:
    one = with_lost([(0, "node000")])
    repairs = tuple(
        replace(one.repairs[0], lost=(LostRank(k, f"node{k // 2:03}"), LostRank(k + 1, f"node{k // 2:03}")))
        for k in range(0, 1000, 2)
    )
    text = report_text(replace(one, repairs=repairs))
    lines = re.findall(r"^Lost = (.*)$", text, re.MULTILINE)
    assert lines[0] == "ranks 0, 1 on host node000 after 0.0040 s, in round 0"
    assert lines[9].startswith("ranks 18, 19 on host node009 after ")
    assert lines[10:] == ["980 more ranks, at 490 later times; --json FILE holds them all"]
    assert "\nRedone = 12500000000 points (1.25e+04 %); 500 repairs cost 6.2500 s\n" in text


def column(text: str, name: str) -> dict[str, str]:
    """Return the cells of the last column of a table, by those of the first."""
    (rows,) = re.findall(rf"^ *{name} .* lost\n((?:.+\n)+)", text, re.MULTILINE)
    cells = [row.split() for row in rows.splitlines()]
    return {row[0]: row[-1] for row in cells}


def test_tables_mark_lost_ranks_by_their_numbers() -> None:
    result = runs.run(3, 2, losses={BEFORE_ROUNDS: [0], 3: [3], 6: [4, 5]})
    text = report_text(result, per_rank=True)
    third, sixth = (f"{repair.seconds:.4f}" for repair in result.repairs[1:])
    assert column(text, "rank") == {"1": "-", "2": "-", "3": third, "4": sixth, "5": sixth}
    hosts = [f"node000{k}.cluster.example" for k in (1, 2, 3)]
    assert column(text, "host") == dict(zip(hosts, "012", strict=True))
    # No row is marked if all were lost before they had one.
    before = report_text(runs.run(3, 2, losses={BEFORE_ROUNDS: [0]}), per_rank=True)
    assert " lost\n" not in before
    assert "\nLost = rank 0 (host unknown) before the first round\n" in before


def test_counting_of_several_ranks_in_one_row_is_not_taken_for_that_of_the_slowest() -> None:
    result = runs.run(2, 4, losses={4: [0, 1, 2, 3]})
    slowest = max(row.count_seconds for row in result.ranks[4:])
    assert result.ranks[0].count_seconds > slowest
    assert values(report_text(result))["Count"] == f"{slowest:.4f} s (slowest rank; 8 rounds)"


def test_page_tells_of_losses() -> None:
    page = html_report.page([Item("a", with_lost([(1, "node000")], 2, 1))])
    assert "<dt>Lost</dt><dd>rank 1 on host node000 after 0.0040 s, in round 0</dd>" in page
    assert "<b>SUCCESSFUL</b> pi = 3.14155252, -0.244 standard errors from pi; 1 rank lost" in page
    assert "<dt>Redone</dt><dd>25000000 points (25 %); 1 repair cost 0.0125 s</dd>" in page
