"""HTML reports in a real browser."""

import base64
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpi_pi.report import html as html_report
from mpi_pi.report.plots import figure as plot
from mpi_pi.report.sources import Item
from support import lacks, pages, runs
from support.benchmarks import benchmark
from support.pages import with_log
from support.texts import report_text

HOSTILE = "<script>document.title = 'hacked'</script><img src=x onerror=alert(1)>.json"
PROBE = """
<script>
addEventListener("load", () => {
  const pictures = [...document.images];
  const facts = {
    title: document.title,
    lang: document.documentElement.lang,
    blank: pictures.filter(picture => picture.naturalWidth === 0).length,
    pictures: pictures.length,
    silent: pictures.filter(picture => !picture.alt).length,
    scripts: document.scripts.length,
    fetched: performance.getEntriesByType("resource").map(entry => entry.name.slice(0, 11)),
    text: document.body.innerText,
    tables: [...document.querySelectorAll("table")].map(
      table => [...table.rows].map(row => [...row.cells].map(cell => cell.textContent))),
    width: innerWidth,
    too_wide: document.documentElement.scrollWidth - innerWidth,
  };
  const told = document.createElement("pre");
  told.id = "facts";
  told.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(facts))));
  document.body.append(told);
});
</script>
"""


def browse(path: Path, width: int = 1280) -> tuple[str, str]:
    """Load a page in the browser; return its final document and the browser's console."""
    lacks.require("chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options += [f"--user-data-dir={path.parent / 'profile'}", "--enable-logging=stderr", "--v=0"]
    done = subprocess.run(
        ["chromium", *options, f"--window-size={width},1000", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)


def probed(page: str, tmp_path: Path, width: int = 1280) -> dict[str, Any]:
    """Return the findings of a script in the page, in which scripts are allowed for this."""
    assert page.count(html_report.POLICY) == 1
    allowing = page.replace(html_report.POLICY, f"{html_report.POLICY}; script-src 'unsafe-inline'")
    path = tmp_path / "probed.html"
    path.write_text(allowing.replace("</head>", PROBE + "</head>"))
    document, console = browse(path, width)
    assert console == ""
    [told] = re.findall(r'<pre id="facts">([^<]*)</pre>', document)
    facts: dict[str, Any] = json.loads(base64.b64decode(told))
    return facts


def test_browser_shows_a_run_and_a_benchmark(tmp_path: Path) -> None:
    facts = probed(pages.small(), tmp_path)
    result = runs.run(2)
    assert result.estimate
    assert facts["title"] == "mpi-pi: result.json, trials.csv, bench.json"
    assert facts["lang"] == "en"
    assert facts["pictures"] == len(plot.panels(with_log(result))) + len(
        plot.panels([Item("bench.json", benchmark())])
    )
    assert facts["blank"] == facts["silent"] == 0
    assert facts["scripts"] == 1  # the probe
    assert set(facts["fetched"]) <= {"data:image/"}
    for line in report_text(result).splitlines():
        for part in re.split(r" = |\t| {2,}", line):
            assert part.strip() in facts["text"]
    [hosts] = [rows for rows in facts["tables"] if rows[0][0] == "host" and "share" in rows[0]]
    assert [row[4] for row in hosts[1:]] == [str(row.points) for row in result.ranks]
    assert "One core" in facts["text"]
    assert "Rounds" in facts["text"]


def test_narrow_browser_shows_a_thousand_hosts(tmp_path: Path) -> None:
    facts = probed(pages.large(), tmp_path, width=400)
    assert facts["blank"] == facts["silent"] == 0
    assert facts["pictures"] > 4
    assert facts["width"] <= 500
    assert facts["too_wide"] <= 0  # tables and pictures scroll by themselves
    assert len(pages.large()) < 8_000_000


def test_page_forbids_what_a_network_or_a_script_could_bring(tmp_path: Path) -> None:
    """The browser reports no other errors."""
    path = tmp_path / "report.html"
    spoilt = "<script>document.title = 'hacked'</script><img src='http://127.0.0.1:9/x.png'>"
    path.write_text(pages.small().replace("<main>", "<main>" + spoilt))
    document, console = browse(path)
    assert "<title>hacked" not in document
    assert len(console.splitlines()) == console.count("Content Security Policy") == 2


def test_hostile_names_stay_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = next(plot.pictures([Item("bench.json", benchmark())]))[1]
    monkeypatch.setattr(plot, "pictures", lambda items: iter([(f'{HOSTILE}" onload="alert(1)', figure)]))
    result = runs.run(2)
    ranks = tuple(
        replace(row, info=row.info._replace(host="<script>", cpu='"><img src=x>&amp;'))
        for row in result.ranks
    )
    facts = probed(html_report.page([Item(HOSTILE, replace(result, ranks=ranks))]), tmp_path)
    assert facts["title"] == f"mpi-pi: {HOSTILE}"
    assert facts["scripts"] == facts["pictures"] == 1
    assert facts["blank"] == 0
    assert HOSTILE in facts["text"]
    assert '"><img src=x>&amp;' in facts["text"]
    assert ["<script>", "2"] in [row[:2] for rows in facts["tables"] for row in rows]
