"""What files hold as one HTML page: verdicts, text, tables and pictures. It needs nothing from any network.

The text is that of `report` and `benchmark`. Its lines are an interface, so they can be read here: what is
`name = value` becomes a list, and what stands in columns a table.
"""

import base64
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from mpi_pi.bench import document as bench_document
from mpi_pi.bench.median import MedianCI
from mpi_pi.formatting import number_of
from mpi_pi.model.result import Result
from mpi_pi.model.shard import Usage
from mpi_pi.model.tally import Tally
from mpi_pi.report import plain
from mpi_pi.report import run as run_report
from mpi_pi.report.bench import document as bench_report
from mpi_pi.report.bench.numbers import format_ci
from mpi_pi.report.plots import figure as plot
from mpi_pi.report.sources import Item
from mpi_pi.report.table import columns_of
from mpi_pi.storage.trial_log import Trials
from mpi_pi.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A browser fetches nothing for this page, and runs nothing in it."""

MAX_SVG_BYTES = 400_000
"""A larger picture is drawn in pixels: thousands of marks slow a browser down."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fff; --ink: #1b1b1b; --soft: #5a5f66; --line: #d5d9de; --card: #f5f7f9;
  --good: #14693a; --bad: #a4161a; --open: #7a4d00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181c; --ink: #e6e8ea; --soft: #a2a9b1; --line: #3a4048; --card: #1e2329;
    --good: #5fd08b; --bad: #ff8a8a; --open: #ffc457;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 76rem; padding: 1.5rem clamp(0.8rem, 3vw, 2.5rem) 3rem;
  background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.6rem; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 0.5rem; }
a { color: inherit; }
section { margin-top: 2.5rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
.verdict { font-size: 1.1rem; margin: 0.3rem 0 1rem; }
.good b { color: var(--good); } .bad b { color: var(--bad); } .open b { color: var(--open); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21.5rem), 1fr)); gap: 1rem; }
dl {
  margin: 0; padding: 0.7rem 1rem; background: var(--card); border-radius: 0.4rem;
  display: grid; grid-template-columns: fit-content(40%) 1fr; gap: 0.15rem 1rem; align-content: start;
}
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.whole { grid-column: 1 / -1; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.8rem; text-align: left; vertical-align: top; }
th, td { border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.wide th, .wide td { white-space: nowrap; }
.number { text-align: right; }
caption { caption-side: bottom; text-align: left; padding: 0.4rem 0.8rem; color: var(--soft); }
figure { margin: 1.5rem 0; max-width: 58rem; overflow-x: auto; background: #fff; }
figure { border: 1px solid var(--line); border-radius: 0.4rem; }
figure img { display: block; width: 100%; min-width: 34rem; height: auto; }
details { margin-top: 1.5rem; }
pre { overflow-x: auto; padding: 0.8rem 1rem; background: var(--card); border-radius: 0.4rem; }
pre { font-size: 0.85rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: 0.9rem; }
@media (max-width: 34rem) { .contents :is(th, td):nth-child(2) { display: none; } }
@media print {
  :root {
    color-scheme: light; --page: #fff; --ink: #000; --soft: #444; --line: #999; --card: #fff;
    --good: #000; --bad: #000; --open: #000;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  dl { border: 1px solid var(--line); }
  .wide { overflow: visible; } .wide th, .wide td { white-space: normal; padding: 0.1rem 0.3rem; }
  table { font-size: 8pt; }
  figure, dl, tr { break-inside: avoid; } h2, h3, .verdict { break-after: avoid; }
  figure img { min-width: 0; }
  details { display: none; }
}
"""


class Verdict(NamedTuple):
    """What is to be seen first."""

    kind: str
    """`good`, `bad`, `open`, or `plain`: nothing that can be right or wrong."""
    word: str
    rest: str


def page(items: Sequence[Item]) -> str:
    """The page. Raises plot.Unavailable without matplotlib."""
    title = escape("mpi-pi: " + ", ".join(item.name for item in items))
    sections = "\n".join(
        _section(number, item, plot.pictures(_drawn_together(item, items)))
        for number, item in enumerate(items, 1)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>mpi-pi report</h1>
{_contents(items)}
</header>
<main>
{sections}
</main>
<footer>Made by mpi-pi {escape(__version__)}. Nothing on this page was fetched from a network.</footer>
</body>
</html>
"""


def _contents(items: Sequence[Item]) -> str:
    """The verdicts of all files in one table."""
    return "\n".join(
        [
            '<table class="contents">',
            "<thead><tr><th>File</th><th>Holds</th><th>Says</th></tr></thead>\n<tbody>",
            *(_row(number, item) for number, item in enumerate(items, 1)),
            "</tbody>\n</table>",
        ]
    )


def _row(number: int, item: Item) -> str:
    verdict = _verdict(item.content)
    return (
        f'<tr class="{verdict.kind}"><td><a href="#item-{number}">{escape(item.name)}</a></td>'
        f"<td>{_kind(item.content)}</td><td>{_in_html(verdict)}</td></tr>"
    )


def _drawn_together(item: Item, items: Sequence[Item]) -> list[Item]:
    """What the pictures of an item are made of: a trial log is drawn with its run, if that is there."""
    if any(_is_log_of(item, run) for run in items):
        return []
    return [item, *(log for log in items if _is_log_of(log, item))]


def _is_log_of(log: Item, run: Item) -> bool:
    return (
        isinstance(log.content, Trials)
        and isinstance(run.content, Result)
        and log.content.belong_to(run.content)
    )


def _section(number: int, item: Item, pictures: Iterable[tuple[str, "Figure"]]) -> str:
    verdict = _verdict(item.content)
    return "\n".join(
        [
            f'<section id="item-{number}">',
            f"<h2>{escape(item.name)}</h2>",
            f'<p class="verdict {verdict.kind}">{_in_html(verdict)}</p>',
            *_told(item.content),
            *(_figure(title, figure) for title, figure in pictures),
            "</section>",
        ]
    )


def _kind(content: Any) -> str:
    if isinstance(content, Result):
        return "a run"
    return "a trial log" if isinstance(content, Trials) else "a benchmark"


def _in_html(verdict: Verdict) -> str:
    return f"<b>{escape(verdict.word)}</b> {escape(verdict.rest)}"


def _verdict(content: Any) -> Verdict:
    if isinstance(content, Result):
        return _of_run(content)
    if isinstance(content, Trials):
        trials = number_of(len(content.hits), "trial")
        return Verdict("plain", trials, f"of {number_of(content.points, 'point')}")
    return _of_benchmark(content)


def _of_run(result: Result) -> Verdict:
    estimate = result.estimate
    if estimate is None:
        return Verdict("open", "NOTHING COUNTED", "there is no estimate")
    answer = f"pi = {estimate.pi}, {estimate.standard_errors:+.3f} standard errors from pi"
    if not result.verified:
        return Verdict("bad", "UNSUCCESSFUL", "; ".join([answer, *result.reasons]))
    if result.partial:
        share = 100 * result.tally.points / result.shard.points
        return Verdict("open", "PARTIAL", f"{share:.3g} % of the points; {answer}")
    return Verdict("good", "SUCCESSFUL", answer)


def _of_benchmark(document: bench_document.Benchmark) -> Verdict:
    """Its most telling numbers; and wrong hits before all others."""
    told, scaling = [], document["scaling"]
    if document["kernel"]:
        rate = MedianCI.from_fields(document["kernel"]["rows"][0]["points_per_second"])
        told.append(f"{format_ci(rate, '.4g', 1e-6)} million points/s on a core")
    if scaling:
        last = scaling["strong"]["rows"][-1]
        efficiency = format_ci(MedianCI.from_fields(last["efficiency"]), ".3g", 100)
        told.append(f"efficiency {efficiency} % on {number_of(last['ranks'], 'rank')}")
    if document["noise"]:
        told.append(f"noise {document['noise']['slowdown']:.1%}")
    if scaling and not scaling["same_hits"]:
        return Verdict("bad", "HITS DIFFER", "; ".join(told))
    return Verdict("plain", "FULL" if document["full"] else "QUICK", "; ".join(told))


def _told(content: Any) -> Iterator[str]:
    """The text, with its lists and tables."""
    if isinstance(content, Result):
        yield from _in_blocks(run_text(content))
        yield _verbatim(run_text(content))
    elif isinstance(content, Trials):
        yield from _in_blocks(trials_text(content))
    else:
        yield from _in_blocks(plain.text([bench_report.head(content)]))
        for section in bench_report.sections(content):
            yield f"<h3>{escape(section.title)}</h3>"
            yield from _in_blocks(plain.text(section.blocks))
        yield _verbatim(bench_report.text(content))


def run_text(result: Result) -> str:
    """What the run has printed."""
    begun = replace(result.shard, tally=Tally(), usage=Usage())
    members = [row.info for row in result.ranks]
    return run_report.head(begun, members, result.mpi_library, result.shards) + run_report.text(result)


def trials_text(trials: Trials) -> str:
    """A trial log in a few lines."""
    hits: list[int] = trials.hits.tolist()
    return "\n".join(
        [
            f"Trials = {len(hits)}",
            f"Points per trial = {trials.points}",
            f"Hits = {sum(hits)}",
            f"Hits of a trial = {min(hits)} least, {sum(hits) / len(hits):.6g} mean, {max(hits)} most",
        ]
    )


def _verbatim(text: str) -> str:
    return f"<details><summary>The same as text, to be copied</summary><pre>{escape(text)}</pre></details>"


def _in_blocks(text: str) -> Iterator[str]:
    """The text's blocks, between which lines are empty; lists that follow on each other side by side."""
    blocks = [block.split("\n") for block in re.split(r"\n{2,}", text.strip("\n"))]
    for is_list, group in itertools.groupby(blocks, key=lambda lines: _pair(lines[0]) is not None):
        if is_list:
            yield '<div class="facts">\n' + "\n".join(map(_list, group)) + "\n</div>"
        else:
            yield from map(_table, group)


def _list(lines: Iterable[str]) -> str:
    """Names and values; a line that is indented goes on with the one above."""
    entries = re.sub(r"\n +", " ", "\n".join(lines)).split("\n")
    return "<dl>\n" + "\n".join(map(_entry, entries)) + "\n</dl>"


def _entry(line: str) -> str:
    pair = _pair(line)
    if pair is None:
        return f'<dd class="whole">{escape(line)}</dd>'
    value = escape(pair[1]).replace("/", "/<wbr>")  # better there than within a number
    return f"<dt>{escape(pair[0])}</dt><dd>{value}</dd>"


def _pair(line: str) -> tuple[str, str] | None:
    """Name and value of a line that has them."""
    name, found, value = line.partition(" = ")
    if not found:
        name, found, value = line.partition("\t")
    return (name, value) if found else None


def _table(lines: Sequence[str]) -> str:
    """Lines in columns, as `mpi_pi.report.table` writes them; what stands below in brackets is about them."""
    notes = [line for line in lines if line.startswith("(")]
    rows = [line for line in lines if not line.startswith("(")]
    columns = list(columns_of(rows)) if len(rows) > 1 else []
    if len(columns) < 2:
        return f"<p>{'<br>'.join(map(escape, lines))}</p>"
    width = max(map(len, rows))
    cells = [[line.ljust(width)[column] for column in columns] for line in rows]
    kinds = [' class="number"' if _to_the_right(column) else "" for column in zip(*cells, strict=True)]
    caption = f"<caption>{escape(' '.join(notes))}</caption>\n" if notes else ""
    head, *body = [
        "".join(f"<{tag}{kind}>{escape(cell.strip())}</{tag}>" for cell, kind in zip(row, kinds, strict=True))
        for tag, row in zip(["th", *["td"] * (len(rows) - 1)], cells, strict=True)
    ]
    return "\n".join(
        [
            f'<div class="wide" tabindex="0">\n<table>\n{caption}<thead><tr>{head}</tr></thead>\n<tbody>',
            *(f"<tr>{row}</tr>" for row in body),
            "</tbody>\n</table>\n</div>",
        ]
    )


def _to_the_right(column: Iterable[str]) -> bool:
    return all(cell == cell.rstrip() for cell in column if cell.strip())


def _figure(title: str, figure: "Figure") -> str:
    """A picture, which has its title in itself."""
    picture, kind = plot.written(figure, "svg"), "svg+xml"
    if len(picture) > MAX_SVG_BYTES:
        picture, kind = plot.written(figure, "png"), "png"
    url = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    return f'<figure tabindex="0"><img src="{url}" alt="{escape(title)}"></figure>'
