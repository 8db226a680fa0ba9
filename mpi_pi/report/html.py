"""One HTML page on files: verdicts, text, tables and pictures. It fetches nothing from any network."""

import base64
import itertools
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mpi_pi.bench.document import Benchmark
from mpi_pi.bench.median import MedianCI
from mpi_pi.burn_in.diagnosis import faults, findings
from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.formatting import format_percent, number_of
from mpi_pi.model.result import Result
from mpi_pi.report import burn_in as burn_in_report
from mpi_pi.report import plain
from mpi_pi.report import run as run_report
from mpi_pi.report.bench import document as bench_report
from mpi_pi.report.bench.numbers import format_ci
from mpi_pi.report.blocks import Block, Line, Lines, Section, Table
from mpi_pi.report.plots import figure as plot
from mpi_pi.report.sources import Content, Item
from mpi_pi.storage.trial_log import Trials
from mpi_pi.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The page's Content-Security-Policy: a browser fetches nothing for it, and runs nothing in it."""

MAX_SVG_BYTES = 400_000
"""The size above which a picture is drawn in pixels: thousands of marks slow a browser down."""

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


class Summary(NamedTuple):
    """A file's content in a few words, and its text."""

    kind: str
    """The kind of content."""
    status: str
    """`good`, `bad`, `open`, or `plain` for what cannot be right or wrong; a class of the style sheet."""
    verdict: str
    """The verdict in one word or two."""
    details: str
    blocks: Sequence[Block]


def page(items: Sequence[Item]) -> str:
    """Return the HTML page on files. Raises plot.PlottingUnavailable without matplotlib."""
    title = escape("mpi-pi: " + ", ".join(item.name for item in items))
    rows = sections = ""
    for number, item in enumerate(items, 1):
        summary = _summary(item.content)
        rows += _row(number, item.name, summary) + "\n"
        pictures = plot.pictures(_drawn_with(item, items))
        sections += _section(number, item.name, summary, pictures) + "\n"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>mpi-pi report</h1>
<table class="contents">
<thead><tr><th>File</th><th>Holds</th><th>Says</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</header>
<main>
{sections}</main>
<footer>Made by mpi-pi {escape(__version__)}. Nothing on this page was fetched from a network.</footer>
</body>
</html>
"""


def _row(number: int, name: str, summary: Summary) -> str:
    return (
        f'<tr class="{summary.status}"><td><a href="#item-{number}">{escape(name)}</a></td>'
        f"<td>{summary.kind}</td><td>{_verdict(summary)}</td></tr>"
    )


def _section(number: int, name: str, summary: Summary, pictures: Iterable[tuple[str, "Figure"]]) -> str:
    return "\n".join(
        [
            f'<section id="item-{number}">',
            f"<h2>{escape(name)}</h2>",
            f'<p class="verdict {summary.status}">{_verdict(summary)}</p>',
            *_blocks(summary.blocks),
            "<details><summary>The same as text, to be copied</summary>",
            f"<pre>{escape(plain.text(summary.blocks))}</pre></details>",
            *(_figure(title, figure) for title, figure in pictures),
            "</section>",
        ]
    )


def _verdict(summary: Summary) -> str:
    return f"<b>{escape(summary.verdict)}</b> {escape(summary.details)}"


def _drawn_with(item: Item, items: Sequence[Item]) -> list[Item]:
    """Return the items drawn in an item's section: a run has its trial logs, which then have no pictures."""
    if any(_is_log_of(item, run) for run in items):
        return []
    return [item, *(log for log in items if _is_log_of(log, item))]


def _is_log_of(log: Item, run: Item) -> bool:
    log_, run_ = log.content, run.content
    return isinstance(log_, Trials) and isinstance(run_, Result) and log_.belong_to(run_)


def _summary(content: Content) -> Summary:
    if isinstance(content, Result):
        return _summary_of_run(content)
    if isinstance(content, Trials):
        return _summary_of_trials(content)
    if isinstance(content, BurnIn):
        return _summary_of_burn_in(content)
    return _summary_of_benchmark(content)


def _summary_of_run(result: Result) -> Summary:
    blocks, estimate = run_report.whole(result), result.estimate
    if estimate is None:
        return Summary("a run", "open", "NOTHING COUNTED", "there is no estimate", blocks)
    answer = f"pi = {estimate.pi}, {estimate.standard_errors:+.3f} standard errors from pi"
    if result.losses:
        answer += f"; {number_of(len(result.losses), 'rank')} lost"
    if result.audit and result.audit.wrong:
        answer += f"; {number_of(len(result.audit.wrong), 'rank')} counted wrongly, and others again"
    if not result.verified:
        return Summary("a run", "bad", "UNSUCCESSFUL", "; ".join([answer, *result.reasons]), blocks)
    if result.partial:
        share = format_percent(result.tally.points, result.shard.points)
        return Summary("a run", "open", "PARTIAL", f"{share} of the points; {answer}", blocks)
    return Summary("a run", "good", "SUCCESSFUL", answer, blocks)


def _summary_of_trials(trials: Trials) -> Summary:
    hits: list[int] = trials.hits.tolist()
    mean = f"{sum(hits) / len(hits):.6g}"
    lines: list[Line] = [
        ("Trials", str(len(hits))),
        ("Points per trial", str(trials.points)),
        ("Hits", str(sum(hits))),
        ("Hits of a trial", f"{min(hits)} least, {mean} mean, {max(hits)} most"),
    ]
    number, points = number_of(len(hits), "trial"), number_of(trials.points, "point")
    return Summary("a trial log", "plain", number, f"of {points}", [Lines(lines)])


def _summary_of_burn_in(burn_in: BurnIn) -> Summary:
    found = findings(burn_in)
    blocks, hosts = burn_in_report.blocks(burn_in, found), number_of(len(burn_in.hosts), "host")
    details = f"{burn_in.seconds:.0f} s on {hosts}"
    if number := faults(found):
        return Summary("a burn-in", "bad", "FAILED", f"{number_of(number, 'fault')}; {details}", blocks)
    if not burn_in.complete:
        return Summary("a burn-in", "open", "NOT COMPLETE", f"no faults so far; {details}", blocks)
    return Summary("a burn-in", "good", "PASSED", details, blocks)


def _summary_of_benchmark(document: Benchmark) -> Summary:
    numbers, scaling = [], document["scaling"]
    if document["kernel"]:
        rate = MedianCI.from_fields(document["kernel"]["rows"][0]["points_per_second"])
        numbers.append(f"{format_ci(rate, '.4g', 1e-6)} million points/s on a core")
    if scaling:
        last = scaling["strong"]["rows"][-1]
        efficiency = format_ci(MedianCI.from_fields(last["efficiency"]), ".3g", 100)
        numbers.append(f"efficiency {efficiency} % on {number_of(last['ranks'], 'rank')}")
    if document["noise"]:
        numbers.append(f"noise {document['noise']['slowdown']:.1%}")
    status, verdict = "plain", "FULL" if document["full"] else "QUICK"
    if scaling and not scaling["same_hits"]:
        status, verdict = "bad", "HITS DIFFER"
    return Summary("a benchmark", status, verdict, "; ".join(numbers), bench_report.blocks(document))


def _blocks(blocks: Iterable[Block]) -> Iterator[str]:
    """Generate the blocks' HTML; lists that follow one another are side by side."""
    for is_list, group in itertools.groupby(blocks, key=_is_list):
        shown = [*map(_block, group)]
        yield from ['<div class="facts">', *shown, "</div>"] if is_list else shown


def _is_list(block: Block) -> bool:
    return isinstance(block, Lines) and any(isinstance(line, tuple) for line in block.lines)


def _block(block: Block) -> str:
    if isinstance(block, Section):
        return "\n".join([f"<h3>{escape(block.title)}</h3>", *_blocks(block.blocks)])
    if isinstance(block, Table):
        return _table(block)
    if _is_list(block):
        return "\n".join(["<dl>", *map(_entry, block.lines), "</dl>"])
    return f"<p>{'<br>'.join(escape(str(line)) for line in block.lines)}</p>"


def _entry(line: Line) -> str:
    if isinstance(line, str):
        return f'<dd class="whole">{escape(line)}</dd>'
    name, value = map(escape, line)
    value = value.replace("\n", " ").replace("/", "/<wbr>")  # better folded there than within a number
    return f"<dt>{name}</dt><dd>{value}</dd>"


def _table(table: Table) -> str:
    kinds = {name: ' class="number"' if name in table.numbers else "" for name in table.rows[0]}

    def row(cells: Iterable[tuple[str, str]], tag: str) -> str:
        return "".join(f"<{tag}{kinds[name]}>{escape(cell)}</{tag}>" for name, cell in cells)

    caption = f"<caption>{escape(table.note)}</caption>\n" if table.note else ""
    head = row(((name, name) for name in kinds), "th")
    body = "\n".join(f"<tr>{row(cells.items(), 'td')}</tr>" for cells in table.rows)
    return f"""<div class="wide" tabindex="0">
<table>
{caption}<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>"""


def _figure(title: str, figure: "Figure") -> str:
    """Return the HTML of a picture, which shows its title by itself."""
    picture, kind = plot.written(figure, "svg"), "svg+xml"
    if len(picture) > MAX_SVG_BYTES:
        picture, kind = plot.written(figure, "png"), "png"
    url = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    return f'<figure tabindex="0"><img src="{url}" alt="{escape(title)}"></figure>'
