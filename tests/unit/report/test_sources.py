"""Files are recognised by their content; all that are of no known kind are named."""

import json
from pathlib import Path

import pytest

from mpi_pi.bench import document as bench_document
from mpi_pi.errors import UserError
from mpi_pi.model.result import Result
from mpi_pi.report import sources
from mpi_pi.storage import json_document, result_file
from mpi_pi.storage.trial_log import Trials
from mpi_pi.version import __version__
from support import runs
from support.runs import flame


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_kind_is_recognised() -> None:
    Path("a").write_text(result_file.as_json(flame()))
    Path("b").write_text("trial,points,hits\n0,10,7\n1,10,8\n")
    Path("c").write_text(json_document.dumps(bench_document.new(False, "numpy")))
    result, trials, bench = (item.content for item in sources.read(["a", "b", "c"]))
    assert isinstance(result, Result)
    assert result.tally == flame().tally
    assert isinstance(trials, Trials)
    assert (trials.points, trials.hits.tolist()) == (10, [7, 8])
    assert isinstance(bench, dict)
    assert bench["kind"] == "benchmark"


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("", "a trial log without trials"),
        ("0,10,7\n2,10,7\n", "damaged trial log: trials are missing"),
        ("0,10,7\n1,11,7\n", "damaged trial log: trials are missing"),
        ("0,10,11\n", "damaged trial log: no such hits are possible"),
        ("0,10,seven\n", "damaged trial log: invalid literal for int() with base 10: 'seven'"),
    ],
)
def test_damaged_trial_log_is_refused_with_its_line(lines: str, complaint: str) -> None:
    Path("log.csv").write_text("trial,points,hits\n" + lines)
    with pytest.raises(UserError) as refused:
        sources.read(["log.csv"])
    assert str(refused.value) == f"log.csv: {complaint}"


def test_all_files_of_no_known_kind_are_named() -> None:
    Path("text").write_text("pi = 3.14")
    Path("folder").mkdir()
    Path("check").write_text(json_document.dumps({"program": "mpi-pi", "kind": "check"}))
    old = json.loads(result_file.as_json(runs.run(1))) | {"schema": 3}
    Path("old").write_text(json.dumps(old))
    with pytest.raises(UserError) as refused:
        sources.read(["none", "text", "folder", "check", "old"])
    assert str(refused.value).splitlines() == [
        "none: No such file or directory",
        "text: not written by mpi-pi",
        "folder: not a regular file",
        "check: a check of mpi-pi's, and no result, benchmark, burn-in or trial log",
        f"old: has schema 3 of mpi-pi '{__version__}', not 5, 6, 7 or 8",
    ]
