"""Standard streams that are full, closed or not read: files are written first, and no run fails of it."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job
from mpi_pi.storage import checkpoint, json_document, result_file
from support import launching, runs
from support.benchmarks import benchmark
from support.faults import AT_A_PACE, FULL_SPEED, Fault, Faults
from support.lacks import lack
from support.launching import MPI_PI, MPIRUN, Launch, under_mpirun
from support.schemas import CHECK as CHECK_SCHEMA
from support.schemas import RUN as SCHEMA

JOB = Job(300, 10_001, 6)
RUN = f"{MPI_PI} run -n 300 -i 10001 --seed 6"
ENDLESS = " ".join((MPI_PI, *launching.ENDLESS))
PROBLEMS = {">/dev/full": "No space left on device", ">&-": "standard output is closed"}
NOBODY_READS = "| exec sleep 0"


@pytest.fixture(scope="module")
def hits() -> int:
    return int(reference.count(JOB, range(JOB.units)).sum())


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def shell(launch: Launch, script: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return launch(0, "bash", "-c", script, **env)


# What is printed comes last


@pytest.mark.parametrize("where", PROBLEMS)
def test_run_writes_its_files_before_it_prints(launch: Launch, hits: int, where: str) -> None:
    run = shell(launch, f"{RUN} --json o.json --trial-log o.csv {where}")
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("mpi-pi: error: ")
    assert PROBLEMS[where] in line
    document = json.loads(Path("o.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["estimate"]["hits"] == hits
    assert document["verified"]
    assert len(Path("o.csv").read_text().splitlines()) == 301


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("launcher", ["", f"{MPIRUN} -n 2 "])
def test_run_writes_its_files_if_only_its_first_line_is_read(
    launch: Launch, hits: int, launcher: str
) -> None:
    run = shell(launch, f"{launcher}{RUN} --json o.json 2>&1 | head -1; echo ${{PIPESTATUS[0]}} >status")
    assert run.stdout.startswith("mpi-pi = ")
    assert run.stdout.count("\n") == 1
    assert json.loads(Path("o.json").read_text())["estimate"]["hits"] == hits
    if not launcher:  # mpirun takes what it is given, and does not tell what becomes of it
        assert Path("status").read_text() == "1\n"


@pytest.mark.parametrize("launcher", ["", f"{MPIRUN} -n 2 "])
def test_trial_log_goes_to_standard_output(launch: Launch, launcher: str) -> None:
    """Standard output has nothing else then, and no file named "-" is made."""
    run = shell(launch, f"{launcher}{RUN} --trial-log -")
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.replace("\r", "").splitlines()
    assert lines[0] == "trial,points,hits"
    assert [int(line.split(",")[2]) for line in lines[1:]] == reference.count(JOB, range(300)).tolist()
    assert not list(Path().iterdir())


@pytest.mark.parametrize("options", ["--trial-log - --json -", "--checkpoint -", "--cache -"])
def test_dash_is_refused_where_it_means_nothing(launch: Launch, options: str) -> None:
    run = shell(launch, f"{RUN} {options}")
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"mpi-pi: error: argument {options.split()[0]}: '-': ")
    assert not list(Path().iterdir())


def test_run_without_files_ends_at_once_where_nothing_can_be_printed(launch: Launch) -> None:
    run = shell(launch, f"{ENDLESS} >/dev/full")
    assert (run.returncode, run.stderr) == (
        1,
        "mpi-pi: error: standard output: No space left on device\n",
    )


def test_checkpoint_is_saved_before_anything_is_printed(launch: Launch, hits: int) -> None:
    run = shell(launch, f"{RUN} --checkpoint c >/dev/full")
    assert run.returncode == 1
    part = checkpoint.load(Path("c"))
    assert part
    assert part.complete
    assert part.tally.hits == hits
    assert not Path("c.lock").exists()


ONE_CORE = (
    f"{sys.executable} -c 'import sys; from mpi_pi.bench import kernel as kernel_bench;"
    "from mpi_pi.cli import main as cli;"
    """kernel_bench.QUICK_SECONDS = 0.005; sys.exit(cli.main(["bench", "kernel", "--json", "o.json"]))'"""
)


@pytest.mark.parametrize("where", [*PROBLEMS, NOBODY_READS])
def test_other_commands_write_their_files_before_they_print(launch: Launch, where: str) -> None:
    Path("1.json").write_text(result_file.as_json(runs.run(2)))
    schemas = {f"{MPI_PI} merge 1.json --json o.json": SCHEMA}
    if where == ">/dev/full":
        schemas[f"{MPI_PI} check --json o.json"] = CHECK_SCHEMA
    for command in (*schemas, ONE_CORE):
        Path("o.json").unlink(missing_ok=True)
        run = shell(launch, f"set -o pipefail; {command} {where}")
        assert run.returncode == 1, command
        (line,) = run.stderr.splitlines()
        assert line.startswith("mpi-pi: error: standard output")
        jsonschema.validate(json.loads(Path("o.json").read_text()), schemas.get(command, {}))


@pytest.mark.parametrize("where", [*PROBLEMS, NOBODY_READS])
def test_failure_to_print_is_one_line(launch: Launch, where: str) -> None:
    Path("b").write_text(json_document.dumps(benchmark()))
    Path("hosts").write_text("localhost\n")
    for command in (
        f"{MPI_PI} bench compare b b",
        f"{MPI_PI} check-hosts hosts",
        f"{MPI_PI} merge --help",
        f"PYTHONUNBUFFERED=1 {MPI_PI} --version",
    ):
        run = shell(launch, f"set -o pipefail; {command} {where}")
        assert run.returncode == 1, command
        (line,) = run.stderr.splitlines()
        assert line.startswith("mpi-pi: error: standard output"), command
        assert run.stdout == ""


def test_picture_and_page_need_no_standard_output(launch: Launch) -> None:
    Path("1.json").write_text(result_file.as_json(runs.run(2)))
    for command, file in (("plot", "o.png"), ("report", "o.html")):
        run = shell(launch, f"{MPI_PI} {command} 1.json -o {file} >&-")
        assert (run.returncode, run.stderr) == (0, "")
        assert Path(file).stat().st_size > 10_000


def test_terminal_that_is_closed_ends_the_run_in_good_order(environment: dict[str, str]) -> None:
    """After SIGHUP, with every print failing, the run ends and all files exist."""
    command = f"{ENDLESS} --json o.json --checkpoint c --checkpoint-every 0s --progress on"
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe("sh", ["sh", "-c", f"exec {command}"], environment | {"TERM": "xterm"})  # noqa: S606
    counted_by(time.monotonic() + 60, terminal)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1  # the report could not be printed
    document = json.loads(Path("o.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["partial"]
    part = checkpoint.load(Path("c"))
    assert part
    assert 0 < part.tally.points <= document["estimate"]["points"]
    assert sorted(path.name for path in Path().iterdir()) == ["c", "o.json"]


def counted_by(deadline: float, terminal: int) -> None:
    """Read what a terminal shows until the checkpoint has some points."""
    os.set_blocking(terminal, False)
    while time.monotonic() < deadline:
        try:
            os.read(terminal, 65536)
        except BlockingIOError:
            time.sleep(0.02)
        part = checkpoint.load(Path("c"))
        if part and part.tally.points:
            return
    pytest.fail("nothing was counted within a minute")


@pytest.mark.parametrize("ranks", [0, 2])
def test_hangup_without_terminal_ends_the_run_in_good_order(environment: dict[str, str], ranks: int) -> None:
    words = [MPI_PI, *launching.ENDLESS, "--json", "o.json", "--progress", "on"]
    with subprocess.Popen(
        under_mpirun(ranks, *words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stderr
        assert process.stderr.read(1)  # the bar: it is counting
        time.sleep(0.5)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=20)
    assert process.returncode != 0
    if not ranks:
        assert process.returncode == 128 + signal.SIGHUP
    assert json.loads(Path("o.json").read_text())["partial"]


def test_hangup_under_nohup_is_ignored(launch: Launch, faults: Faults) -> None:
    """As with nohup, which ignores SIGHUP."""
    program = faults.program(AT_A_PACE)
    run = shell(
        launch,
        f"trap '' HUP; {program} run -n 20k -i 10k --seed 1 --progress on 2>bar & pid=$!;"
        " while ! [ -s bar ]; do sleep 0.05; done;"
        f" kill -HUP $pid && touch {faults.last / FULL_SPEED}; wait $pid",
    )
    assert run.returncode == 0
    assert "Verification = SUCCESSFUL" in run.stdout


# What nobody hears


@pytest.mark.parametrize(
    ("launcher", "where"),
    [
        ("", "2>&-"),
        ("", "2>/dev/full"),
        ("", "<&- 2>&-"),
        (f"{MPIRUN} -n 2 ", "2>&-"),
        (f"{MPIRUN} -n 2 ", "2>/dev/full"),
    ],
)
def test_closed_standard_error_loses_no_results(launch: Launch, hits: int, where: str, launcher: str) -> None:
    """Progress bar, warning and note are lost; standard output has only the JSON."""
    slow = {"NUMBA_DISABLE_JIT": "1"}  # for a warning
    options = "--json - --progress on --checkpoint c"
    run = shell(launch, f"{launcher}{RUN} {options} {where}", **slow)
    assert json.loads(run.stdout)["estimate"]["hits"] == hits
    assert run.returncode == 0
    stopped = shell(launch, f"{launcher}{ENDLESS} {options}2 --time-limit 1.5s {where}", **slow)
    assert json.loads(stopped.stdout)["partial"]
    assert stopped.returncode == 75


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_closed_standard_error_changes_no_status(launch: Launch, where: str) -> None:
    for command, status in (
        ("run -n 0 -i 1", 2),
        ("nothing", 2),
        ("merge none --json o.json", 2),
        ("plot none -o o.png", 2),
        ("report none -o o.html", 2),
        ("check --json no/such/folder/o.json", 2),
        ("check-hosts none", 2),
        ("deploy none", 2),
        ("bench noise --launcher false", 1),
        ("bench compare none none", 2),
    ):
        run = shell(launch, f"{MPI_PI} {command} {where}")
        assert (run.returncode, run.stdout) == (status, ""), command
    assert not list(Path().iterdir())


@pytest.mark.parametrize("where", ["2>&-", "2>&- <&-"])
def test_output_of_libraries_does_not_land_in_files(
    launch: Launch, faults: Faults, hits: int, where: str
) -> None:
    """Libraries write to descriptor 2; if it is closed, the next file opened would get that number."""
    noisy = faults.program(Fault("in the loading of the kernel", "say"))
    run = shell(launch, f"{noisy} {RUN.partition(' ')[2]} --json o.json --trial-log o.csv {where}")
    assert run.returncode == 0
    assert "word" not in run.stdout
    assert json.loads(Path("o.json").read_text())["estimate"]["hits"] == hits
    assert Path("o.csv").read_text().startswith("trial,points,hits\n0,")


def test_programs_that_are_started_have_standard_streams_too(launch: Launch) -> None:
    """Without a descriptor 2, a launcher of `bench` would use another file as its standard error."""
    script = "readlink /proc/self/fd/0 /proc/self/fd/2 >streams; exit 3"
    run = shell(launch, f"""{MPI_PI} bench noise --launcher "sh -c '{script}'" <&- 2>&-""")
    assert run.returncode == 1
    assert Path("streams").read_text() == "/dev/null\n/dev/null\n"


def test_checkpoint_and_log_on_one_full_disk_end_the_run_in_good_order(
    launch: Launch, tmp_path: Path
) -> None:
    """On a real file system that is full, neither the lock nor any other file is left behind."""
    if os.geteuid() != 0:
        lack("no root: no disk can be mounted")
    disk = tmp_path / "disk"
    disk.mkdir()
    fill = f"head -c 1M /dev/zero >>{disk}/fill 2>/dev/null"
    script = (
        f"mount -t tmpfs -o size=32k none {disk} && cd {disk} &&"
        f" {{ {ENDLESS} --seed 1 --checkpoint c --checkpoint-every 0.1s --progress on"
        f" --time-limit 4s 2>log; echo $? >{tmp_path}/status; }} &"
        f" while ! [ -s {disk}/c ]; do sleep 0.02; done; sleep 0.5; {fill}; wait;"
        f" ls -A {disk} >{tmp_path}/left; cp {disk}/c {tmp_path}"
    )
    run = launch(0, "unshare", "--mount", "--propagation", "private", "bash", "-c", script)
    assert (tmp_path / "status").read_text() == "75\n", run.stderr
    assert (tmp_path / "left").read_text().split() == ["c", "fill", "log"]
    assert "Partial = " in run.stdout
    part = checkpoint.load(tmp_path / "c")
    assert part


def test_files_with_long_names_are_written(launch: Launch, hits: int) -> None:
    names = {option: letter * 250 for option, letter in zip(("json", "checkpoint"), "jc", strict=True)}
    options = " ".join(f"--{option} {name}" for option, name in names.items())
    for more in ("", "--restart"):
        run = shell(launch, f"{RUN} {options} {more}")
        assert (run.returncode, run.stderr) == (0, "")
        assert f"({hits}/" in run.stdout
    assert {path.name for path in Path().iterdir()} == {*names.values(), "c" * 250 + ".1"}
    assert json.loads(Path(names["json"]).read_text())["estimate"]["hits"] == hits
    part = checkpoint.load(Path(names["checkpoint"]))
    assert part
    assert part.tally.hits == hits
