"""HTML reports, as Python's parser of HTML reads them."""

import html.parser
import re
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.report import html as html_report
from mpi_pi.report.blocks import Table
from mpi_pi.report.plots import figure as plot
from mpi_pi.report.sources import Item
from support import pages, runs
from support.benchmarks import benchmark
from support.pages import with_log


class Reader(html.parser.HTMLParser):
    """Reads a page, and sees to it that what is opened is closed."""

    VOID = ("meta", "img", "br", "wbr")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def kinds(page: str) -> set[str]:
    """Of the pictures."""
    return set(re.findall(r'src="data:image/([a-z+]+);base64,', page))


def test_pictures_that_would_be_large_are_made_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "svg+xml" in kinds(pages.small())
    monkeypatch.setattr(html_report, "MAX_SVG_BYTES", 0)
    assert kinds(html_report.page([Item("trials.csv", with_log(runs.run(2))[1].content)])) == {"png"}


def test_page_fetches_nothing() -> None:
    for page in (pages.small(), pages.large()):
        reader = Reader(page)
        values = [
            value or ""
            for tag, attributes in reader.tags
            for name, value in attributes.items()
            if name in ("src", "href", "srcset", "action", "data", "style", "poster", "background")
        ]
        assert all(value.startswith(("data:image/", "#item-")) for value in values)
        assert not {tag for tag, _ in reader.tags} & {"script", "link", "iframe", "object", "base", "form"}
        assert "url(" not in html_report.STYLE
        assert "@import" not in html_report.STYLE


def test_links_lead_to_the_files_sections() -> None:
    reader = Reader(pages.small())
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    ids = [f"#{attributes['id']}" for _, attributes in reader.tags if "id" in attributes]
    assert links == ids
    assert len(links) == 3


def verdicts(*items: Item) -> list[str]:
    """The third column of the table at the top."""
    return [row[2] for row in Reader(html_report.page(items)).tables[0][1:]]


def test_verdict_is_at_the_top_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot, "pictures", lambda items: iter(()))
    good, differing = runs.run(2), benchmark()
    differing["scaling"]["same_hits"] = False
    found = verdicts(
        Item("good.json", good),
        Item("bad.json", replace(good, kernels_right=False)),
        Item("stopped.json", runs.run(2, 2, stopped=True)),
        Item("bench.json", benchmark()),
        Item("bench.json", differing),
        Item("bench.json", benchmark() | dict.fromkeys(("noise", "kernel", "jobs", "scaling", "round"))),
    )
    assert found[0].startswith("SUCCESSFUL pi = 3.1")
    assert found[1].startswith("UNSUCCESSFUL pi = 3.1")
    assert re.match(r"PARTIAL 9\d.* % of the points; pi = 3.1", found[2])
    assert found[3].startswith("FULL 39")
    assert found[4].startswith("HITS DIFFER 39")
    assert found[5] == "FULL "


words = st.lists(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=6),
    min_size=1,
    max_size=3,
).map(" ".join)


@given(
    st.data(),
    st.lists(words, min_size=2, max_size=5, unique=True),
    st.integers(1, 5),
    st.sets(st.integers(0, 4)),
)
def test_tables_are_read_as_they_were_written(
    data: st.DataObject, names: list[str], rows: int, right: set[int]
) -> None:
    cells = [[data.draw(words) for _ in names] for _ in range(rows)]
    table = Table(
        [dict(zip(names, row, strict=True)) for row in cells],
        numbers=[name for number, name in enumerate(names) if number in right],
    )
    [read] = Reader(html_report._table(table)).tables
    assert read == [names, *cells]


def test_without_matplotlib_it_is_said_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(plot.PlottingUnavailable, match="matplotlib"):
        html_report.page([Item("result.json", runs.run(2))])
