"""Whole jobs, measured by real ones, and published runs beside them."""

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from benchmarks import benchmark
from conftest import MPIRUN, SETTINGS

import mpi_pi
from mpi_pi import job_bench, launcher, reference
from mpi_pi.job import Job
from mpi_pi.published import FLAME_PYTHON, FLAME_RUST, OCTAPI, Published

SCHEMA = json.loads((Path(mpi_pi.__file__).parent / "bench.schema.json").read_text())
TINY = job_bench.Work(
    "Tiny", Published("By hand", 3, 1000, 60.0, "1949", "a table", "a book"), turns=2, cold_turns=1
)


def test_a_job_is_measured_cold_and_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real jobs: the steps of each turn add up to what it took, and every turn counts the same."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    documents: list[dict[str, Any]] = []
    run = job_bench._run

    def noted(command: list[str]) -> job_bench.Run:
        one = run(command)
        documents.append(dict(one.document))
        return one

    monkeypatch.setattr(job_bench, "_run", noted)
    shown: list[float] = []
    section = job_bench.measure([MPIRUN, "-n", "2"], False, shown.append, works=[TINY])

    jsonschema.validate(section, {"$defs": SCHEMA["$defs"]} | SCHEMA["properties"]["jobs"])
    assert [(job["name"], job["cold"], job["ranks"]) for job in section] == [
        ("Tiny", True, 2),
        ("Tiny", False, 2),
    ]
    assert [len(job["seconds"]["samples"]) for job in section] == [1, 2]
    for job in section:
        names = [step["name"] for step in job["steps"]]
        assert (names[0], names[-1]) == ("launcher", "exit")
        turns = zip(*(step["seconds"]["samples"] for step in job["steps"]), strict=True)
        assert list(map(sum, turns)) == pytest.approx(job["seconds"]["samples"])
    sources = [{rank["kernel_source"] for rank in document["ranks"]} for document in documents[1:]]
    assert "compiled" in sources[0]
    assert sources[1:] == [{"cache"}, {"cache"}]
    tiny = Job(3, 1000, job_bench.SEED)
    hits = int(reference.count(tiny, range(tiny.units)).sum())
    assert {document["estimate"]["hits"] for document in documents} == {hits}
    assert shown == pytest.approx([1 / 3, 2 / 3, 1])
    text = job_bench.text(section)
    assert text.startswith("job ")
    assert "By hand = 60 s on a table; 1949\n  a book\n" in text


def a_run(hits: int = 2, source: str = "cache") -> job_bench.Run:
    """One from 100 s to 111 s."""
    points = ("program", "imported", "mpi", "kernel", "start", "end", "counted")
    marks = dict(zip(points, (101.0, 102.5, 103.5, 105.0, 105.5, 108.0, 108.25), strict=True))
    ranks = [
        {"host": "elsewhere", "kernel_source": source, "kernel_seconds": 1.0, "count_seconds": count_seconds}
        for count_seconds in (1.5, 2.0)
    ]
    return job_bench.Run(100.0, 111.0, 0.25, {"marks": marks, "ranks": ranks, "estimate": {"hits": hits}})


def test_where_time_went() -> None:
    assert job_bench.steps(a_run()) == {
        "launcher": 0.75,
        "interpreter": 0.25,
        "imports": 1.5,
        "MPI_Init": 1.0,
        "kernel load": 1.0,
        "agreements": 1.0,
        "count": 2.0,
        "reduce and wait": 0.5,
        "report": 0.25,
        "exit": 2.75,
    }
    assert sum(job_bench.steps(a_run()).values()) == 11.0


def test_on_a_host_with_another_clock_start_and_end_are_one_step() -> None:
    ours, theirs = job_bench.steps(a_run()), job_bench.steps(a_run(), one_clock=False)
    assert theirs.pop("launcher and exit") == ours.pop("launcher") + ours.pop("exit")
    assert theirs == ours
    assert not job_bench._has_our_clock(a_run())


@pytest.mark.parametrize(
    ("warm", "why"),
    [
        ([a_run(2), a_run(2)], ""),
        ([a_run(2), a_run(3)], r"Tiny: not the same hits in all turns: \[2, 3\]"),
        ([a_run(2), a_run(2, "compiled")], "the compile cache was not used"),
    ],
)
def test_turns_have_to_agree(warm: list[job_bench.Run], why: str) -> None:
    runs = {(TINY, True): [a_run(2, "compiled")], (TINY, False): warm}
    if not why:
        job_bench._check(runs)
        return
    with pytest.raises(job_bench.Failed, match=why):
        job_bench._check(runs)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["/no/such/mpirun"], "/no/such/mpirun: No such file or directory"),
        (["sh", "-c", "echo no slots >&2; echo ---- >&2; exit 3"], "status 3: no slots"),
        (["sh", "-c", "echo mpi-pi: error: no >&2; echo lost >&2; exit 1"], "status 1: mpi-pi: error: no"),
        (["false"], "false .* -m mpi_pi run .*: status 1: no word"),
        (["true"], "true .*: its output is not that of one mpi-pi run"),
        (["sh", "-c", "exec sleep 60"], "sh .*: not done after 0.5 s"),
    ],
)
def test_a_launcher_that_fails_is_named(
    command: list[str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_bench, "LIMIT_SECONDS", 0.5)
    monkeypatch.setattr(job_bench, "_interpreter_seconds", lambda: 0.0)
    with pytest.raises(job_bench.Failed, match=why):
        job_bench.measure(command, False, print, works=[TINY])


def test_the_launcher_is_that_of_the_environment_or_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    with pytest.raises(job_bench.Failed, match="argument --launcher: no mpirun was found"):
        job_bench.default_launcher()
    for place in (tmp_path / "elsewhere" / "mpirun", tmp_path / "mpirun"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("#!/bin/sh\n")
        place.chmod(0o755)
        assert job_bench.default_launcher()[:2] == [str(place), "-n"]
    assert 1 <= int(job_bench.default_launcher()[2]) <= len(launcher.cores())


def test_published_runs() -> None:
    """As they stand in the blogs and the lesson."""
    assert (FLAME_PYTHON.trials, FLAME_PYTHON.points_per_trial, FLAME_PYTHON.seconds) == (
        1000,
        100_000,
        11.485,
    )
    assert (FLAME_RUST.trials, FLAME_RUST.points_per_trial, FLAME_RUST.seconds) == (10_000, 100_000, 111.708)
    assert (OCTAPI.trials, OCTAPI.points_per_trial, OCTAPI.seconds) == (1_000_000, 10_000, 7517.660)
    assert FLAME_PYTHON.points_per_second == pytest.approx(8.707e6, rel=1e-3)
    assert OCTAPI.points_per_second == pytest.approx(1.330e6, rel=1e-3)


def test_the_text_sets_each_job_beside_the_published_run() -> None:
    section = benchmark()["jobs"]
    section[0]["seconds"] |= {"median": 2.0, "low": 1.9, "high": 2.1, "samples": [2.0, 1.9, 2.1]}
    section[0]["published"] |= {"name": "Theirs", "seconds": 19.0}
    text = job_bench.text(section)
    (line,) = (line for line in text.splitlines() if line.startswith("Flame, cold  "))
    assert " ".join(line.split()) == "Flame, cold 1e+08 4 2 (1.9 … 2.1) 19 9.5 (9.05 … 10)"
    assert "\nwhole " in text
    assert max(map(len, text.splitlines())) <= 110
