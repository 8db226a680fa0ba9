"""Tables of reports as CSV, read back by Python's csv."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.bench import document as bench_document
from mpi_pi.burn_in import diagnosis
from mpi_pi.check.changes import Baseline
from mpi_pi.check.diagnosis import findings
from mpi_pi.check.hosts import group_by_host
from mpi_pi.report import burn_in as burn_in_report
from mpi_pi.report import check as check_report
from mpi_pi.report import csv, plain
from mpi_pi.report import run as run_report
from mpi_pi.report.bench import document as bench_report
from mpi_pi.report.blocks import Block, Cell, Lines, Section, Table, number
from mpi_pi.storage import result_file
from support import burn_ins, networks, runs, tables
from support.health import at, healthy
from support.launching import TESTS


def of_check(hosts: int = 4) -> list[Block]:
    found = group_by_host(list(at(5, points_per_second=None)(healthy(hosts))))
    baseline = Baseline("2026-11-20T14:00:00+00:00", tuple(group_by_host(healthy(hosts))))
    return check_report.blocks(found, findings(found, baseline), baseline, whole=True)


def of_burn_in() -> list[Block]:
    burn_in = burn_ins.wrong(90)(burn_ins.healthy(40))
    return burn_in_report.blocks(burn_in, diagnosis.findings(burn_in), whole=True)


def stored(name: str) -> dict[str, Any]:
    return bench_document.read(str(TESTS / "data" / "benchmarks" / f"{name}.json"))


def of_bench(name: str) -> list[Block]:
    return bench_report.blocks(stored(name), whole=True)


# Blocks, and the titles and numbers of rows of their tables.
REPORTS: dict[str, tuple[Callable[[], Sequence[Block]], dict[str, int | None]]] = {
    "run": (lambda: run_report.tables(runs.run(25)), {"hosts": 25, "ranks": 25}),
    "lost": (
        lambda: run_report.tables(runs.run(3, 2, losses={3: [3], 6: [4, 5]})),
        {"hosts": 3, "ranks": 6},
    ),
    "check": (
        lambda: of_check(100),
        {"hardware": 100, "software": 100, "measured": 100, "ranks": 400, "since the baseline": 400},
    ),
    "burn-in": (of_burn_in, {"hosts": 40, "ranks": None}),
    "bench of hosts": (
        lambda: of_bench("four_hosts"),
        dict.fromkeys(("noise", "one core", "strong scaling", "weak scaling", "rounds", "manager")),
    ),
    "bench of the network": (
        lambda: bench_report.blocks(networks.benchmark(4, silent=True), whole=True),
        dict.fromkeys(("network", "network, pairs")),
    ),
    "bench": (lambda: of_bench("host"), dict.fromkeys(("noise", "one core", "jobs", "steps of jobs"))),
}

WORDS = re.compile(
    r"phase|host|address|architecture|CPU|flags|Python|mpi-pi|sources|kernel|numba|NumPy|MPI|job|reachable|right"
    r"|from|to|silent|throttled|measured|one core|step, ms"
)
"""Columns of words."""


@pytest.mark.parametrize("name", REPORTS)
def test_all_rows_of_all_tables_are_there_with_plain_numbers(name: str) -> None:
    make, expected = REPORTS[name]
    read = tables.read(csv.text(make()))
    found = {table.title: len(table.rows) for table in read}
    assert len(found) == len(read)
    for title, rows in expected.items():
        assert found[title] == (found[title] if rows is None else rows)
    for table in read:
        numbers = [name for name in table.rows[0] if not WORDS.fullmatch(name)]
        assert numbers
        for column in numbers:
            for cell in table.column(column):
                assert cell == "" or float(cell) is not None, (table.title, column)
    assert not any("-" in row.values() for table in read for row in table.rows)


def test_numbers_are_those_of_the_json_in_full() -> None:
    result = runs.run(3, 2)
    hosts, ranks = tables.read(csv.text(run_report.tables(result)))
    document = json.loads(result_file.as_json(result))
    points = sum(row["points"] for row in document["ranks"])
    assert sum(map(int, hosts.column("points"))) == sum(map(int, ranks.column("points"))) == points
    assert sum(map(float, hosts.column("share/%"))) == pytest.approx(100)
    for column, member in (("points/s", "points_per_second"), ("seconds", "count_seconds")):
        assert list(map(float, ranks.column(column))) == [row[member] for row in document["ranks"]]
    assert ranks.column("host") == [row["host"] for row in document["ranks"]]


def test_medians_have_their_intervals() -> None:
    (strong,) = (
        one for one in tables.read(csv.text(of_bench("four_hosts"))) if one.title == "strong scaling"
    )
    rows = stored("four_hosts")["scaling"]["strong"]["rows"]
    assert strong.column("ranks") == [str(row["ranks"]) for row in rows]
    for end in ("median", "low", "high"):
        column = strong.column(f"time/s {end}".removesuffix(" median"))
        assert list(map(float, column)) == [row["seconds"][end] for row in rows]


def test_text_knows_nothing_of_the_values() -> None:
    """A table prints as if its cells were plain text."""
    cells = {"a": number(1 / 3, ".2f"), "b": Cell("1 to 2", {"low": 1.0, "high": 2.0}), "c": number(None)}
    table = Table([cells], "abc", title="some", units={"a": "s"})
    assert plain.text([table]) == "   a       b  c\n0.33  1 to 2  -\n"
    assert csv.text([table]) == f"a/s,b low,b high,c\n{1 / 3},1.0,2.0,\n"


def test_tables_of_sections_have_titles() -> None:
    table = Table([{"a": "1"}])
    blocks: list[Block] = [
        Lines(["text"]),
        Section("one", [table]),
        Section("two", [table._replace(title="II")]),
    ]
    assert csv.text(blocks) == "one\na\n1\n\nII\na\n1\n"
    assert csv.text([Lines(["text"])]) == ""


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('",;\t')).filter(
    lambda text: text != "-"
)


@given(st.lists(st.tuples(texts, texts), min_size=1))
def test_any_text_is_read_back(rows: list[tuple[str, str]]) -> None:
    table = Table([{"first name": a, 'second, "name"': b} for a, b in rows])
    (read,) = tables.read(csv.text([table]))
    assert read.rows == [dict(row) for row in table.rows]
