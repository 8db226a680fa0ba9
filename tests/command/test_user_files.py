"""Names that users give: of anything that is no file, and in any encoding."""

import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mpi_pi.cli import main as cli
from mpi_pi.storage import json_document, result_file
from mpi_pi.system import cpu, read_file
from support import benchmarks, runs
from support.launching import MPI_PI, MPIRUN, Launch, usual

WAYS = (
    "merge {}",
    "merge r.json --json {}",
    "plot {} -o o.png",
    "report {} -o o.html",
    "report r.json -o {}",
    "bench compare b.json {}",
    "check-hosts {}",
    "deploy {}",
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(read_file, "WRITER_SECONDS", 0.1)
    monkeypatch.setattr("mpi_pi.storage.atomic_file.READER_SECONDS", 0.1)
    Path("r.json").write_text(result_file.as_json(runs.run(2)))
    Path("b.json").write_text(json_document.dumps(benchmarks.benchmark()))


def make(kind: str, name: str) -> None:
    if kind == "loop":
        os.symlink(name, name)  # noqa: PTH211  # to itself
    elif kind == "pipe":
        os.mkfifo(name)
    elif kind == "folder":
        Path(name).mkdir()
    elif kind == "sparse":
        with Path(name).open("wb") as file:
            file.truncate(10 << 30)
    else:
        Path(name).symlink_to(kind)


@pytest.mark.parametrize("kind", ["loop", "pipe", "folder", "sparse", "/dev/zero"])
@pytest.mark.parametrize("way", WAYS)
def test_place_that_is_no_file_is_one_line_of_error(
    kind: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    writes = "--json {}" in way or "-o {}" in way
    if writes and kind in ("sparse", "/dev/zero"):
        return  # which can be written to
    name = "it.html" if "-o {}" in way else "it"
    make(kind, name)
    assert cli.main(way.format(name).split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("mpi-pi: error: ")
    assert name in err


@pytest.mark.parametrize("kind", ["loop", "pipe", "folder", "/dev/zero"])
@pytest.mark.parametrize("option", ["--json", "--trial-log", "--checkpoint"])
def test_run_refuses_a_place_that_is_no_file(launch: Launch, kind: str, option: str) -> None:
    if kind == "/dev/zero" and option != "--checkpoint":
        return  # which can be written to
    make(kind, "it")
    run = launch(0, MPI_PI, "run", "-n", "10", "-i", "10", option, "it")
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith(f"mpi-pi: error: argument {option}: 'it': ")


def test_pipe_is_read_as_a_file() -> None:
    """As in bash: mpi-pi merge <(cat r.json) | ..."""
    command = f"exec {MPI_PI} merge <(cat r.json) --json >(cat >copy.json)"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    feed = Path("r.json").read_text()
    run = subprocess.run(
        [MPI_PI, "merge", "/dev/stdin", "--json", "-"],
        input=feed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(run.stdout)["tally"] == json.loads(feed)["tally"]


def test_pipe_whose_writer_comes_and_goes(tmp_path: Path) -> None:
    os.mkfifo("pipe")
    with subprocess.Popen(["sh", "-c", "sleep 0.05; (printf one; sleep 0.2; printf two) >pipe"]) as writer:
        assert read_file.read_user_file(Path("pipe"), 6) == b"onetwo"
        writer.wait(10)
    with (
        subprocess.Popen(["sh", "-c", "printf onetwo >pipe"]),
        pytest.raises(OSError, match="too large"),
    ):
        read_file.read_user_file(Path("pipe"), 5)


ENCODINGS = ("ascii", "latin-1", "utf-8", "cp1252")
names = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, ord("/")} & set(name))
number = itertools.count()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(WAYS), names, st.sampled_from(ENCODINGS), st.booleans())
@example("merge {}", b"\n", "ascii", False)
@example("bench compare b.json {}", b"\n", "ascii", False)
@example("merge {}", b"caf\xe9", "ascii", True)
@example("report {} -o o.html", b"caf\xe9\n", "latin-1", True)
@example("plot {} -o o.png", b"\xff$x$", "utf-8", True)
def test_names_in_any_encoding_work(way: str, name: bytes, encoding: str, there: bool) -> None:
    folder = Path(f"{next(number)}")
    folder.mkdir()
    path = folder / os.fsdecode(name)
    if there and name not in (b".", b".."):
        path.write_text(Path("b.json" if "compare" in way else "r.json").read_text())
    streams = sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    sys.stdout = io.TextIOWrapper(out, encoding)
    sys.stderr = io.TextIOWrapper(err, encoding, write_through=True)
    if way.startswith("plot") and there:
        way = "plot {} -o o.svg"
    try:
        status = cli.main([word.format(path) for word in way.split()])
    finally:
        said = err.getvalue()
        sys.stdout, sys.stderr = streams
    assert status in (0, 2)
    assert (status == 0) == (said == b"")
    assert len(said.splitlines()) <= 1


@pytest.mark.parametrize(
    "encoding",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["latin-1", "C"],
)
def test_run_and_benchmark_work_in_another_encoding(launch: Launch, encoding: dict[str, str]) -> None:
    run = launch(2, MPI_PI, "run", "--help", **encoding)
    assert (run.returncode, run.stderr) == (0, "")
    names = [os.fsdecode(b"caf\xe9" + end) for end in (b".json", b".ck", b".log")]
    job = ("-n", "10", "-i", "1000", "--seed", "1")
    run = launch(2, MPI_PI, "run", *job, "--json", names[0], "--checkpoint", names[1], **encoding)
    assert (run.returncode, run.stderr) == (0, "")
    assert Path(names[0]).exists()
    assert Path(names[1]).exists()


def test_benchmark_works_in_latin_1(environment: dict[str, str]) -> None:
    """Latin-1 has µ, but not the ellipsis."""
    run = subprocess.run(
        [MPIRUN, "-n", "2", MPI_PI, "bench", "latency", "--oversubscribe"],
        capture_output=True,
        timeout=100,
        env=environment | {"PYTHONIOENCODING": "latin-1"},
        check=False,
    )
    assert (run.returncode, usual(run.stderr.decode())) == (0, "")
    assert rb" \u2026 " in run.stdout
    assert "µs".encode("latin-1") in run.stdout


def test_process_name_cut_within_a_letter_is_read(launch: Launch) -> None:
    """Linux cuts a process's name after 15 bytes."""
    script = Path("pi_sch12345678üü.sh")
    script.write_text(f"#!/bin/sh\n{MPI_PI} run -n 10 -i 1000\nexit $?\n")
    script.chmod(0o755)
    assert "ü".encode()[:1] == script.name.encode()[14:15]
    run = launch(0, str(script.absolute()))
    assert (run.returncode, run.stderr) == (0, "")


def test_settings_of_open_mpi_in_another_encoding_are_read(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / ".openmpi").mkdir()
    (tmp_path / ".openmpi" / "mca-params.conf").write_bytes(b"# caf\xe9\nbtl = self\n")
    run = launch(0, MPI_PI, "run", "-n", "10", "-i", "1000", HOME=str(tmp_path))
    assert (run.returncode, run.stderr) == (0, "")


def test_cpuinfo_in_another_encoding_is_read(tmp_path: Path) -> None:
    from mpi_pi.kernel import machine_code
    from mpi_pi.system import machine

    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_bytes(b"model name\t: A CPU\xae\nflags\t: avx2\n")
    assert cpu.cpu_model(tmp_path) == "A CPU\ufffd"
    assert machine.machine(tmp_path).flags == ("avx2",)
    assert machine_code.cpu_lines(tmp_path) == ["flags: avx2", "model name: A CPU\ufffd"]
