"""Reports on a terminal of 40 columns: nothing is lost, and no line is folded within a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.bench import comparison
from mpi_pi.report import plain
from mpi_pi.report import run as run_report
from mpi_pi.report.bench import comparison as comparison_report
from mpi_pi.report.bench import document as bench_report
from mpi_pi.report.blocks import Table
from support.benchmarks import benchmark
from support.runs import flame
from support.texts import fits, words

COLUMNS = 40


@pytest.mark.parametrize("columns", [1, 20, 40, 79])
def test_reports_lose_nothing(columns: int) -> None:
    document = benchmark()
    other = benchmark(slower=1.5)
    for blocks in (
        run_report.blocks(flame(ranks=4, hosts=2), per_rank=True),
        bench_report.blocks(document),
        comparison_report.blocks(document, other, comparison.changes(document, other)),
    ):
        text, folded = plain.text(blocks), plain.text(blocks, columns)
        assert set(words(text)) <= set(words(folded))
        if columns >= COLUMNS:
            fits(folded, columns)
        assert plain.text(blocks, 80) == text


letters = st.text("abc ", min_size=1, max_size=8).map(lambda text: " ".join(text.split()) or "x")


@given(st.lists(st.tuples(*[letters] * 5), min_size=1, max_size=5))
def test_table_becomes_list(rows: list[tuple[str, ...]]) -> None:
    """Every cell with the name of its column."""
    names = [f"name of {number}" for number in range(5)]
    table = Table([dict(zip(names, row, strict=True)) for row in rows])
    cells = [line.strip().split(" = ") for line in plain.text([table], 40).splitlines()]
    assert cells == [list(pair) for row in rows for pair in zip(names, row, strict=True)]
