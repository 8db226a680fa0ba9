"""Section of a benchmark on the network: OSU's table of message sizes, and matrices of pairs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mpi_pi.bench import links as links_of
from mpi_pi.bench.links import Link, Quantity, Worst
from mpi_pi.bench.median import MedianCI
from mpi_pi.formatting import format_some, number_of
from mpi_pi.report.bench.numbers import ci_cell, format_ci
from mpi_pi.report.blocks import Cell, Lines, Table, number

SIZE, LATENCY, BANDWIDTH = "# Size", "Latency (us)", "Bandwidth (MB/s)"
"""Columns, as OSU's micro-benchmarks name them."""

SCALES = {"latency_seconds": 1e6, "bytes_per_second": 1e-6}
TITLES = {"latency_seconds": LATENCY, "bytes_per_second": BANDWIDTH}
UNITS = {"latency_seconds": "µs", "bytes_per_second": "MB/s"}

MAX_COLUMNS = 8
"""Maximum of hosts that have a column, or a row and a column of a matrix, in text; JSON has all."""
MAX_WORST = 10
"""Maximum of pairs in the table that replaces the matrices of more hosts."""

NOTE = "medians; those in brackets are lost in noise; --json has their intervals"


def blocks(section: Mapping[str, Any], whole: bool = False) -> list[Lines | Table]:
    """Return the tables of message sizes, and what the pairs of hosts are like, if they were measured.

    With `whole`, there is one table of all links and one of all pairs instead.
    """
    links, pairs = section["links"], section["pairs"]
    if not links:
        return [Lines([("Network", "unknown, with one rank")])]
    if whole:
        of_pairs = (
            [_whole_table(section, pairs["links"], "network, pairs")] if pairs and pairs["links"] else []
        )
        return [_whole_table(section, links, "network"), *of_pairs]
    named = links_of.names(section, links)
    heard = [link for link in links if link["rows"]]
    lines = [("Network", _where(section, named)), *_remarks(heard), *_silent(section, links)]
    if not pairs:
        lines += _worst_lines(section, links)
    made: list[Lines | Table] = [Lines(lines)]
    if len(heard) == 1:
        made.append(_table_of_one(heard[0]))
    elif heard:
        made += _tables_of_hosts(heard, named)
    return made + (_pair_blocks(section, pairs) if pairs else [])


def _where(section: Mapping[str, Any], named: Mapping[int, str]) -> str:
    first, *others = named.values()
    if section["between"] == "ranks":
        host = section["links"][0]["hosts"][0]
        return f"between {first} and {others[0]}: all ranks are on host {host}"
    return f"between {first} and {format_some(others, 3)}, one after the other"


def _remarks(links: Sequence[Link]) -> Iterator[tuple[str, str]]:
    """Generate lines on windows and sizes that are not OSU's."""
    rows = [row for link in links for row in link["rows"]]
    least = min((row["window"] for row in rows), default=0)
    most = max((row["window"] for row in rows), default=0)
    if least < most:
        yield "Window", f"{most} messages, {least} or more of those that take long"
    ends = [link["rows"][-1]["bytes"] for link in links]
    if ends and min(ends) < links_of.MAX_BYTES:
        slowest = " on the slowest link" if min(ends) < max(ends) else ""
        yield "Sizes", f"up to {min(ends)} bytes{slowest}: there was no time for larger messages"


def _silent(section: Mapping[str, Any], links: Sequence[Link]) -> Iterator[tuple[str, str]]:
    unheard = [link for link in links if link["silent"] and link["ranks"][0] < link["ranks"][1]]
    silent = [_name(section, link) for link in unheard]
    if silent:
        yield "Silent", f"{format_some(silent, 3)}: no message comes through"


def _name(section: Mapping[str, Any], link: Link, between: str = "–") -> str:
    names = links_of.names(section, [link])
    return f" {between} ".join(names[rank] for rank in link["ranks"])


def _worst_lines(section: Mapping[str, Any], links: Sequence[Link]) -> Iterator[tuple[str, str]]:
    """Generate a sentence on the pair of the highest latency, and one on that of the least bandwidth."""
    latency, bandwidth = links_of.quantities(links)
    for title, quantity in (("Slowest pair", latency), ("Pair of least bandwidth", bandwidth)):
        if found := links_of.worst(links, quantity):
            name = _name(section, found.link, "–" if quantity.is_time else "→")
            yield title, f"{name}: {_times(found, quantity)}"


def _times(found: Worst, quantity: Quantity) -> str:
    scale, unit = SCALES[quantity.member], UNITS[quantity.member]
    value, median = (_number(each * scale) for each in (found.value, found.median))
    size = number_of(quantity.message_bytes, "byte")
    return f"{found.times:.2g} times the median {quantity.name}, {value} and {median} {unit} with {size}"


def _table_of_one(link: Link) -> Table:
    rows = [
        {SIZE: str(row["bytes"])} | {title: _with_ci(row[name], name) for name, title in TITLES.items()}
        for row in link["rows"]
    ]
    return Table(rows, (SIZE, *TITLES.values()))


def _with_ci(fields: Mapping[str, Any], member: str) -> Cell:
    ci = MedianCI.from_fields(fields)
    return format_ci(ci, _form(ci.high * SCALES[member]), SCALES[member])


def _whole_table(section: Mapping[str, Any], links: Sequence[Link], title: str) -> Table:
    """Return a table with a row for each size of each link."""
    names = links_of.names(section, links)
    rows = [
        {
            "from": names[link["ranks"][0]],
            "to": names[link["ranks"][1]],
            "silent": "yes" if link["silent"] else "no",
        }
        | {SIZE: number(row.get("bytes")), "window": number(row.get("window"))}
        | {title: _with_ci(row[name], name) if row else ci_cell("-", None) for name, title in TITLES.items()}
        for link in links
        for row in link["rows"] or [{}]
    ]
    return Table(rows, (SIZE, "window", *TITLES.values()), title=title)


def _tables_of_hosts(links: Sequence[Link], named: Mapping[int, str]) -> Iterator[Table]:
    """Generate a table of latency and one of bandwidth, with a column for each host, the slowest of many."""
    latency, _ = links_of.quantities(links)
    slowest = sorted(links, key=lambda link: -_median(link, latency))[:MAX_COLUMNS]
    shown = [link for link in links if link in slowest]
    cut = f"; the {len(shown)} slowest of {len(links)} hosts" if len(shown) < len(links) else ""
    sizes = sorted({row["bytes"] for link in shown for row in link["rows"]})
    for member, title in TITLES.items():
        rows = [
            {f"{SIZE}: {title}": str(size)}
            | {named[link["ranks"][1]]: _cell(Quantity(member, size), link) for link in shown}
            for size in sizes
        ]
        yield Table(rows, tuple(rows[0]), NOTE + cut)


def _median(link: Link, quantity: Quantity) -> float:
    value = quantity.of(link)
    return value.median if value else 0.0


def _cell(quantity: Quantity, link: Link) -> str:
    """Return the median of a quantity, in brackets if it is inconclusive, and `-` if it is unknown."""
    value = quantity.of(link)
    if value is None:
        return "silent" if link["silent"] else "-"
    text = _number(value.median * SCALES[quantity.member])
    return f"({text})" if value.inconclusive else text


def _pair_blocks(section: Mapping[str, Any], pairs: Mapping[str, Any]) -> list[Lines | Table]:
    links = pairs["links"]
    named = links_of.names(section, links)
    thing = "host" if section["between"] == "hosts" else "rank"
    number = number_of(len(named), thing)
    lines = [("Pairs", f"{len(links) // 2} of {number}, in both directions, {pairs['schedule']}")]
    if out := pairs["left_out"]:
        lines.append(("Left out", f"{out} of {len(links) + out} directions, for which there was no time"))
    lines += [*_worst_lines(section, links), *_silent(section, links)]
    made: list[Lines | Table] = [Lines(lines)]
    if not any(link["rows"] for link in links):
        return made
    quantities = links_of.quantities(links)
    if len(named) > MAX_COLUMNS:
        return [*made, _table_of_worst(section, links, quantities)]
    return [*made, *(_matrix(named, links, quantity) for quantity in quantities)]


def _matrix(named: Mapping[int, str], links: Sequence[Link], quantity: Quantity) -> Table:
    cells = {tuple(link["ranks"]): _cell(quantity, link) for link in links}
    corner = f"{TITLES[quantity.member]}, from"
    rows = [
        {corner: name}
        | {other: "" if rank == column else cells.get((rank, column), "-") for column, other in named.items()}
        for rank, name in named.items()
    ]
    size = number_of(quantity.message_bytes, "byte")
    return Table(rows, tuple(named.values()), f"{size}; {NOTE}")


def _table_of_worst(
    section: Mapping[str, Any], links: Sequence[Link], quantities: tuple[Quantity, Quantity]
) -> Table:
    """Return a table of the pairs of the highest latency, and of those of the least bandwidth."""
    latency, bandwidth = quantities
    heard = [link for link in links if link["rows"]]
    slowest = sorted(heard, key=lambda link: -_median(link, latency))[: MAX_WORST // 2]
    narrowest = sorted(heard, key=lambda link: _median(link, bandwidth))
    others = [link for link in narrowest if link not in slowest]
    rows = [
        {"pair": _name(section, link, "→")}
        | {TITLES[quantity.member]: _cell(quantity, link) for quantity in quantities}
        for link in (*slowest, *others[: MAX_WORST // 2])
    ]
    return Table(rows, tuple(TITLES.values()), f"the slowest of {len(heard)} directions; {NOTE}")


def _number(value: float) -> str:
    return f"{value:{_form(value)}}"


def _form(largest: float) -> str:
    """Return the format of a number: OSU's two decimals, and fewer of large numbers."""
    return ".2f" if largest < 100 else ".1f" if largest < 1000 else ".0f"
