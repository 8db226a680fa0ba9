"""Times of whole jobs, of real and of recorded ones, and the published runs."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mpi_pi.bench import jobs as job_bench
from mpi_pi.bench import launched
from mpi_pi.bench.launched import TimedRun
from mpi_pi.bench.published import FLAME_PYTHON, FLAME_RUST, OCTAPI, Published
from mpi_pi.errors import RunError
from mpi_pi.kernel import loader, reference
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.report import plain
from mpi_pi.report.bench import jobs as jobs_report
from mpi_pi.system import affinity
from support.benchmarks import benchmark
from support.launching import MPIRUN, SETTINGS
from support.schemas import BENCH as SCHEMA

TINY = job_bench.BenchJob(
    "Tiny", Published("By hand", 3, 1000, 60.0, "1949", "a table", "a book"), warm_turns=2, cold_turns=1
)


def text_of(section: Any, full: bool = False) -> str:
    return plain.text(jobs_report.blocks(section, full))


def test_job_is_measured_cold_and_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real jobs: the steps of each turn add up to what it took, and every turn counts the same."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    documents: list[dict[str, Any]] = []
    run = launched.time_run

    def noted(command: list[str]) -> TimedRun:
        one = run(command)
        documents.append(dict(one.document))
        return one

    monkeypatch.setattr(job_bench, "time_run", noted)
    shown: list[float] = []
    section, first = job_bench.measure([MPIRUN, "-n", "2"], False, shown.append, jobs=[TINY])

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
    assert first == documents[0]
    assert len(first["ranks"]) == 2
    sources = [{rank["kernel_source"] for rank in document["ranks"]} for document in documents[1:]]
    assert "compiled" in sources[0]
    assert sources[1:] == [{"cache"}, {"cache"}]
    tiny = Job(3, 1000, job_bench.SEED)
    hits = int(reference.count(tiny, range(tiny.units)).sum())
    assert {document["estimate"]["hits"] for document in documents} == {hits}
    assert shown == pytest.approx([1 / 3, 2 / 3, 1])
    text = text_of(section)
    assert text.startswith("job ")
    assert "By hand = 60 s on a table; 1949\n  a book\n" in text


def a_run(hits: int = 2, source: str = "cache", count_seconds: float = 2.0) -> TimedRun:
    """A run from 100 s to 111 s of the clock."""
    points = ("program", "imported", "mpi", "kernel", "start", "end", "counted")
    marks = dict(zip(points, (101.0, 102.5, 103.5, 105.0, 105.5, 108.0, 108.25), strict=True))
    ranks = [
        {"host": "elsewhere", "kernel_source": source, "kernel_seconds": 1.0, "count_seconds": seconds}
        for seconds in (count_seconds * 0.75, count_seconds)
    ]
    return TimedRun(100.0, 111.0, 0.25, {"marks": marks, "ranks": ranks, "estimate": {"hits": hits}})


def test_phases_of_a_run_are_those_between_its_timestamps() -> None:
    assert a_run().phases() == {
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
    assert sum(a_run().phases().values()) == 11.0


def test_start_and_end_are_one_phase_on_a_host_with_another_clock() -> None:
    ours, theirs = a_run().phases(), a_run().phases(shared_clock=False)
    assert theirs.pop("launcher and exit") == ours.pop("launcher") + ours.pop("exit")
    assert theirs == ours
    assert not a_run().shares_clock


@pytest.mark.parametrize(
    ("run", "cold", "why"),
    [
        (a_run(), False, ""),
        (a_run(source="compiled"), True, ""),
        (a_run(source=""), False, ""),
        (a_run(3), False, "Tiny: not the same hits in all turns: 2, 3"),
        (a_run(source="compiled"), False, "Tiny: compiled again on elsewhere"),
        (a_run(), True, "Tiny: nothing was compiled"),
    ],
)
def test_turns_with_different_hits_are_an_error(run: TimedRun, cold: bool, why: str) -> None:
    if not why:
        job_bench.check(run, TINY, cold, hits=2)
        return
    with pytest.raises(RunError, match=why):
        job_bench.check(run, TINY, cold, hits=2)


def work(points: int, cold_turns: int = 0) -> job_bench.BenchJob:
    published = Published("By hand", points, 1, 60.0, "1949", "a table", "a book")
    return job_bench.BenchJob(f"{points} points", published, warm_turns=15, cold_turns=cold_turns)


def test_job_is_expected_to_take_longer_by_its_points_alone() -> None:
    one, ten = work(100), work(1000)
    assert job_bench.expected_seconds(one, one, a_run()) == 11
    assert job_bench.expected_seconds(ten, one, a_run()) == 9 + 20
    assert job_bench.expected_seconds(ten, one, a_run(source="compiled")) == 8 + 20


@pytest.mark.parametrize(
    ("budget_seconds", "turns"),
    [
        (1e6, [4, 15, 15, 15]),
        (0.0, [4, 3, 3, 3]),
        # 163 s for turns of 11 s; half of the 336 s that are left for those of 13 s; then 180 s are left.
        (490.0, [4, 14, 12, 6]),
        # A third would be enough for 9 turns of the last, but the others do not need theirs.
        (800.0, [4, 15, 15, 15]),
    ],
)
def test_turns_fit_into_the_budget(budget_seconds: float, turns: list[int]) -> None:
    one, two, ten, hundred = works = [work(100, cold_turns=4), work(200), work(1000), work(10_000)]
    assert job_bench.expected_seconds(hundred, one, a_run()) == 209 > job_bench.MAX_EXPECTED_SECONDS
    planned = job_bench.plan_turns(works, a_run(), budget_seconds)
    assert list(planned) == [(one, True), (one, False), (two, False), (ten, False)]
    assert list(planned.values()) == turns


def test_plan_with_little_time_or_no_compiler() -> None:
    assert job_bench.plan_turns([TINY], a_run(), 1e6) == {(TINY, True): 1, (TINY, False): 2}
    # NumPy's kernel has nothing to compile. What has been run once is run again, however long it takes.
    one, two = work(100, cold_turns=4), work(200)
    endless = replace(a_run(source="", count_seconds=500), ended=1000.0)
    assert job_bench.plan_turns([one, two], endless, 60.0) == {(one, False): 3}


def test_jobs_that_were_left_out_are_told_of() -> None:
    section = [job for job in benchmark()["jobs"] if job["name"] == "Flame"]
    assert "left out" not in text_of(section)
    text = text_of(section, full=True)
    for name in ("Flame tenfold", "OctaPi"):
        assert f"\n{name} = left out, for it would take more than 150 s here\n" in text
    assert "\nFlame = " not in text


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["/no/such/mpirun"], "argument --launcher: '/no/such/mpirun': No such file or directory"),
        (["sh", "-c", "echo no slots >&2; echo ---- >&2; exit 3"], "ended with status 3: no slots"),
        (["sh", "-c", "echo mpi-pi: error: no >&2; echo lost >&2; exit 1"], "status 1: mpi-pi: error: no"),
        (["false"], "false .* -m mpi_pi run .*: ended with status 1: no word"),
        (["true"], "true .*: its output is not that of one mpi-pi run"),
        (["sh", "-c", "echo $0", '{"verified": false, "partial": false}'], "its answer is not verified"),
        (["sh", "-c", "echo $0", '{"verified": true, "partial": true}'], "its answer is not verified"),
    ],
)
def test_launcher_that_fails_is_named(command: list[str], why: str) -> None:
    with pytest.raises(RunError, match=why):
        job_bench.measure(command, False, print, jobs=[TINY])


def test_cache_that_cannot_be_used_is_told_at_once(compiled: Kernel, tmp_path: Path) -> None:
    """The warning is the real one; what a real job prints besides is in the other tests."""
    tmp_path.chmod(0o777)
    warning = loader.load(compiled.name, tmp_path).warning
    job = """echo "mpi-pi: warning: $0" >&2; echo '{"verified": true, "partial": false}'"""
    with pytest.raises(RunError) as failed:
        job_bench.measure(["sh", "-c", job, warning], False, print, jobs=[TINY])
    assert warning.startswith(f"compile cache not used: {tmp_path} can be written by other users")
    assert str(failed.value) == f"warm jobs need a compile cache, but {warning}"


@pytest.mark.parametrize("error", [RunError, KeyboardInterrupt])
def test_empty_cache_is_removed_on_all_hosts_whatever_happens(
    error: type[BaseException], tmp_path: Path
) -> None:
    launcher = ["sh", "-c", f'echo "$@" >> {tmp_path}/launched; exit 1', "launcher"]
    folders = []

    def fail() -> None:
        with job_bench.empty_cache(launcher) as (_, folder):
            folders.append(folder)
            Path(folder, "kernel").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "launched").read_text() == f"rm -rf {folders[0]}\n"
    assert not Path(folders[0]).exists()


def test_job_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launched, "LIMIT_SECONDS", 0.1)
    with pytest.raises(RunError, match=r"sh .*: not done after 0.1 s"):
        job_bench.measure(["sh", "-c", "exec sleep 60"], False, print, jobs=[TINY])


def gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("deaf", ["", 'trap "" TERM; '])
@pytest.mark.parametrize(
    ("limit_seconds", "error"), [(0.1, RunError), (60.0, KeyboardInterrupt), (60.0, MemoryError)]
)
def test_no_launcher_is_left_behind(
    deaf: str,
    limit_seconds: float,
    error: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A launcher is ended if it takes too long or an error occurs here, even if it ignores SIGTERM."""
    monkeypatch.setattr(launched, "TERMINATION_SECONDS", 0.1)
    note = tmp_path / "process"
    communicate = subprocess.Popen.communicate

    def communicate_once_it_runs(process: "subprocess.Popen[str]", timeout: float) -> tuple[str, str]:
        while process.poll() is None and not (note.exists() and note.read_text().endswith("\n")):
            time.sleep(0.01)
        if error is not RunError:
            raise error
        return communicate(process, timeout=timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate_once_it_runs)
    command = ["sh", "-c", f"{deaf}echo $$ > {note}; exec sleep 60"]
    with pytest.raises(error):
        launched.capture(command, limit_seconds)[0]
    assert gone(int(note.read_text()))


def test_user_sees_what_a_launcher_complains_of(capfd: pytest.CaptureFixture[str]) -> None:
    command = ["sh", "-c", "echo 1; echo no slots >&2; exit $0"]
    assert launched.capture([*command, "0"], 60, show_errors=True)[0] == "1\n"
    with pytest.raises(RunError, match=r"^sh: ended with status 3, see above$"):
        launched.capture([*command, "3"], 60, show_errors=True)[0]
    assert capfd.readouterr() == ("", "no slots\n" * 2)
    assert launched.capture([*command, "0"], 60)[0] == "1\n"
    assert capfd.readouterr() == ("", "")


def test_launcher_is_that_of_the_environment_or_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    with pytest.raises(RunError, match="argument --launcher: no mpirun was found"):
        launched.default_launcher()
    for place in (tmp_path / "elsewhere" / "mpirun", tmp_path / "mpirun"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("#!/bin/sh\n")
        place.chmod(0o755)
        assert launched.default_launcher()[:2] == [str(place), "-n"]
    assert 1 <= int(launched.default_launcher()[2]) <= len(affinity.cores())


def test_published_runs_are_quoted_correctly() -> None:
    """The numbers are those of the blogs and the lesson."""
    assert (FLAME_PYTHON.trials, FLAME_PYTHON.points_per_trial, FLAME_PYTHON.seconds) == (
        1000,
        100_000,
        11.485,
    )
    assert (FLAME_RUST.trials, FLAME_RUST.points_per_trial, FLAME_RUST.seconds) == (10_000, 100_000, 111.708)
    assert (OCTAPI.trials, OCTAPI.points_per_trial, OCTAPI.seconds) == (1_000_000, 10_000, 7517.660)
    assert FLAME_PYTHON.points_per_second == pytest.approx(8.707e6, rel=1e-3)
    assert OCTAPI.points_per_second == pytest.approx(1.330e6, rel=1e-3)


def test_text_sets_each_job_beside_the_published_run() -> None:
    section = benchmark()["jobs"]
    section[0]["seconds"] |= {"median": 2.0, "low": 1.9, "high": 2.1, "samples": [2.0, 1.9, 2.1]}
    section[0]["published"] |= {"name": "Theirs", "seconds": 19.0}
    text = text_of(section)
    (line,) = (line for line in text.splitlines() if line.startswith("Flame, cold  "))
    assert " ".join(line.split()) == "Flame, cold 1e+08 4 2 (1.9 … 2.1) 19 9.5 (9.05 … 10)"
    assert "\nwhole " in text
    assert max(map(len, text.splitlines())) <= 110


def test_signal_while_a_command_starts_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes when the process is there, but not yet known to the caller."""
    started: list[int] = []

    class Interrupted(subprocess.Popen[str]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        launched.capture(["sleep", "600"], 60)
    (pid,) = started
    with pytest.raises(ChildProcessError):  # it has been waited for
        os.waitpid(pid, os.WNOHANG)
