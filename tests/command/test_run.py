"""The command `mpi-pi run` under a real mpirun, with real signals and failures."""

import csv
import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import psutil
import pytest

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job
from support import launching
from support.faults import MESSAGE, UNVERIFIABLE, Fault, Faults
from support.launching import MPI_PI, MPIRUN, Launch, soak, under_mpirun, usual
from support.mpis import needs_any_mpi
from support.processes import leftovers
from support.schemas import RUN as SCHEMA
from support.terminal import on_a_terminal
from support.texts import values

RUN = (MPI_PI, "run")
SMALL = (*RUN, "-n", "300", "-i", "10001", "--seed", "12345678901234567890123")
ENDLESS = (MPI_PI, *launching.ENDLESS)


@pytest.fixture(scope="module")
def small_hits() -> int:
    return int(reference.count(Job(300, 10_001, 12345678901234567890123), range(300)).sum())


@pytest.mark.parametrize("ranks", [0, 1, 2, 3, 4, 7, 16])
def test_hits_are_the_same_on_any_number_of_ranks(launch: Launch, small_hits: int, ranks: int) -> None:
    run = launch(ranks, *SMALL)
    assert run.returncode == 0, run.stderr
    found = values(run.stdout)
    assert found["pi"].startswith(f"4*({small_hits}/3000300)")
    assert found["Verification"] == "SUCCESSFUL"
    assert found["Ranks"].split()[0] == str(ranks or 1)
    assert found["Seed"] == "12345678901234567890123"
    assert run.stdout.count("Verification") == 1


@pytest.mark.usefixtures("compiled")
def test_hits_are_the_same_with_numpy_and_with_both(launch: Launch, small_hits: int) -> None:
    run = launch(2, *SMALL, "--kernel", "numpy")
    assert f"({small_hits}/" in run.stdout
    assert values(run.stdout)["Kernel"] == "numpy"
    mixed = (MPIRUN, "-n", "1", *SMALL, "--kernel", "numpy", ":", "-n", "2", *SMALL, "--kernel", "numba")
    run = launch(0, *mixed)
    assert f"({small_hits}/" in run.stdout
    assert values(run.stdout)["Kernel"].startswith("numpy, numba for ")


def test_random_seed_is_shown_and_repeats_the_run(launch: Launch) -> None:
    first = values(launch(2, *RUN, "-n", "1000", "-i", "1e4").stdout)
    assert int(first["Seed"]) >= 0
    again = values(launch(0, *RUN, "-n", "1000", "-i", "1e4", "--seed", first["Seed"]).stdout)
    assert again["pi"] == first["pi"]
    other = values(launch(0, *RUN, "-n", "1000", "-i", "1e4").stdout)
    assert other["Seed"] != first["Seed"]


def test_python_m_mpi_pi_runs_the_command(launch: Launch, small_hits: int) -> None:
    run = launch(1, sys.executable, "-m", "mpi_pi", *SMALL[1:])
    assert f"({small_hits}/" in run.stdout


def test_last_lines_are_those_of_time(launch: Launch) -> None:
    lines = launch(2, *SMALL).stdout.splitlines()
    for line, name in zip(lines[-3:], ("real", "user", "sys"), strict=True):
        assert re.fullmatch(name + r"\t\d+m\d+\.\d{3}s", line)


def test_json_and_trial_log_hold_the_hits(launch: Launch, tmp_path: Path, small_hits: int) -> None:
    run = launch(3, *SMALL, "--json", str(tmp_path / "o.json"), "--trial-log", str(tmp_path / "o.csv"))
    assert run.returncode == 0
    document = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["estimate"]["hits"] == small_hits
    assert [row["rank"] for row in document["ranks"]] == [0, 1, 2]
    assert sum(map(sum, (row["units"] for row in document["rounds"]))) == 300
    assert sum(row["units"] for row in document["ranks"]) == 300
    rows = list(csv.DictReader((tmp_path / "o.csv").open()))
    counted = reference.count(Job(300, 10_001, 12345678901234567890123), range(300))
    assert [int(row["trial"]) for row in rows] == list(range(300))
    assert [int(row["hits"]) for row in rows] == counted.tolist()
    assert {row["points"] for row in rows} == {"10001"}
    assert {path.name for path in tmp_path.iterdir()} == {"o.json", "o.csv"}


def test_json_goes_to_standard_output(launch: Launch, small_hits: int) -> None:
    run = launch(2, *SMALL, "--json", "-")
    assert json.loads(run.stdout)["estimate"]["hits"] == small_hits


def test_row_for_each_rank(launch: Launch) -> None:
    text = launch(4, *SMALL, "--per-rank").stdout
    assert re.search(r"^rank +host +threads +units +points", text, re.MULTILINE)
    assert len(re.findall(r"^ +[0-3]  \S+ +1 +\d+ +\d+ ", text, re.MULTILINE)) == 4


def test_prompt_asks_until_the_answer_is_a_number(environment: dict[str, str]) -> None:
    run = subprocess.run(
        [MPIRUN, "-n", "2", *RUN, "--ask", "--seed", "1"],
        input="lots\n10k\n0\n100\n",
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert run.returncode == 0
    assert "How many points in each trial?" in run.stderr
    assert "'lots': not a number" in run.stderr
    assert "'0': at least 1 trial" in run.stderr
    expected = reference.count(Job(100, 10**4, 1), range(100)).sum()
    assert values(run.stdout)["pi"].startswith(f"4*({expected}/1000000)")


def test_prompt_is_shown_on_a_terminal_before_the_answer(environment: dict[str, str]) -> None:
    """The question appears before the answer is typed, also through mpirun."""
    command = [MPIRUN, "-n", "2", *RUN, "--ask", "-n", "10", "--seed", "1"]
    shown = on_a_terminal(command, environment, keys=b"1000\n", after="How many points in each trial? ")
    expected = reference.count(Job(10, 1000, 1), range(10)).sum()
    assert f"pi = 4*({expected}/10000) = " in shown


@pytest.mark.parametrize(
    "other", ["-n 10 -i 10 --trial-log /dev/null", "-n 11 -i 10", "-n 10 -i 10 --seed 4", "-n x -i 10"]
)
def test_ranks_with_different_arguments_are_refused(launch: Launch, other: str) -> None:
    run = launch(0, MPIRUN, "-n", "2", *RUN, "-n", "10", "-i", "10", ":", "-n", "1", *RUN, *other.split())
    assert run.returncode != 0
    assert "Verification" not in run.stdout
    if "x" not in other:
        assert "rank 2 on host " in run.stderr
        assert "where most ranks do" in run.stderr


def test_prompt_without_answers_is_an_error(launch: Launch) -> None:
    run = launch(2, *RUN, "--ask")
    assert run.returncode == 2
    assert "--ask" in run.stderr


def test_output_is_no_terminal_so_there_is_no_progress_bar(launch: Launch) -> None:
    assert launch(2, *SMALL).stderr == ""
    assert "points" in launch(0, *SMALL, "--progress", "on").stderr


LONG = (*RUN, "-n", "1000", "-i", "1M")


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    ("ranks", "command", "variables", "noted"),
    [
        (0, LONG, {}, True),
        (0, (*LONG, "--threads", "1"), {}, False),
        (0, (*LONG, "--shard", "1/1", "--seed", "1"), {}, False),
        (0, (*LONG, "--progress", "off"), {}, False),
        (0, LONG, {"SLURM_JOB_ID": "17"}, False),
        (0, ("taskset", "-c", "0", *LONG), {}, False),
        (0, SMALL, {}, False),
        (2, LONG, {}, False),
    ],
)
def test_use_of_one_core_of_several_is_noted(
    launch: Launch, ranks: int, command: tuple[str, ...], variables: dict[str, str], noted: bool
) -> None:
    """A long run without options that show the intention prints a line about it."""
    cores = psutil.cpu_count(logical=False)
    if cores is None or cores < 2 or len(os.sched_getaffinity(0)) < cores:
        pytest.skip("it takes all cores of a machine of several")
    run = launch(ranks, *command, **variables)
    assert "Verification = SUCCESSFUL" in run.stdout
    notes = [line for line in run.stderr.splitlines() if line.startswith("mpi-pi: ")]
    advice = f"mpirun -n {cores} mpi-pi run … uses them all"
    assert [f"1 of {cores} cores" in note and advice in note for note in notes] == [True] * noted


@pytest.mark.parametrize("ranks", [0, 2])
def test_ctrl_c_on_a_terminal_reports_what_was_counted(environment: dict[str, str], ranks: int) -> None:
    """After the progress bar, Ctrl-C brings the report on the points so far, and no traceback."""
    shown = on_a_terminal(under_mpirun(ranks, *ENDLESS), environment, keys=b"\x03", after="points/s]")
    assert "Partial = " in shown
    assert values(shown)["Verification"] == "SUCCESSFUL"
    assert float(values(shown)["Standard error"]) < 0.01
    assert "Traceback" not in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_one_process_with_what_it_has(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    command = [
        *ENDLESS,
        "--progress",
        "on",
        "--json",
        str(tmp_path / "o.json"),
        "--trial-log",
        str(tmp_path / "l"),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr
        assert process.stderr.read(1)  # the bar: it is counting
        time.sleep(1)
        process.send_signal(number)
        out, err = ended(process)
    assert process.returncode == 128 + number
    assert "Partial = " in out
    assert "--trial-log" in err
    assert "not written" in err
    document = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["partial"]
    assert 0 < document["estimate"]["points"] < 10**24
    assert [path.name for path in tmp_path.iterdir()] == ["o.json"]


@pytest.mark.parametrize("ranks", [1, 3])
def test_interrupted_mpirun_leaves_a_partial_report(
    environment: dict[str, str], tmp_path: Path, ranks: int
) -> None:
    """mpirun leaves its ranks a quarter of a second, and discards what they print then."""
    out, mark = tmp_path / "out", str(secrets.randbits(60))
    with (
        out.open("w") as stream,
        subprocess.Popen(
            [MPIRUN, "-n", str(ranks), *ENDLESS, "--progress", "on", "--seed", mark],
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process,
    ):
        assert process.stderr
        assert process.stderr.read(1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        ended(process)
    assert process.returncode != 0
    assert "Partial = " in out.read_text()
    assert not leftovers(mark)


def ended(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Return what a process has printed; it has to end soon."""
    try:
        return process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@pytest.mark.parametrize("ranks", [0, 3])
def test_bad_usage_is_one_line_from_one_rank(launch: Launch, tmp_path: Path, ranks: int) -> None:
    run = launch(ranks, *RUN, "-n", "0", "-i", "5", "--json", str(tmp_path / "o.json"))
    ours = [line for line in run.stderr.splitlines() if "mpi-pi: " in line]
    assert ours == ["mpi-pi: error: argument -n/--trials: '0': at least 1 trial is needed"]
    assert run.returncode == 2
    assert run.stdout == ""
    assert not list(tmp_path.iterdir())
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("option", ["--json", "--trial-log"])
@pytest.mark.parametrize("place", ["no/such/folder/file", "", "read-only/file"])
def test_what_cannot_be_written_is_refused_before_counting(
    launch: Launch, tmp_path: Path, option: str, place: str
) -> None:
    (tmp_path / "read-only").mkdir(mode=0o500)
    if place.startswith("read-only") and os.geteuid() == 0:
        pytest.skip("nothing is read-only for root")
    run = launch(2, *ENDLESS, option, str(tmp_path / place))
    ours = [line for line in run.stderr.splitlines() if "mpi-pi: " in line]
    assert len(ours) == 1
    assert f"argument {option}: " in ours[0]
    assert run.returncode == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["read-only"]


@pytest.mark.parametrize("option", ["--json", "--trial-log"])
def test_full_disk_at_the_end_is_said(launch: Launch, option: str) -> None:
    run = launch(2, *SMALL, option, "/dev/full")
    ours = [line for line in run.stderr.splitlines() if "mpi-pi: " in line]
    assert len(ours) == 1
    assert option in ours[0]
    assert "/dev/full" in ours[0]
    assert "No space left on device" in ours[0]
    assert run.returncode == 1


def test_full_disk_of_one_file_does_not_cost_the_other(launch: Launch, tmp_path: Path) -> None:
    run = launch(2, *SMALL, "--json", "/dev/full", "--trial-log", str(tmp_path / "o.csv"))
    assert run.returncode == 1
    assert "argument --json: '/dev/full': No space left on device" in run.stderr
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 301


def test_full_disk_while_logging_is_said(launch: Launch) -> None:
    run = launch(2, *RUN, "-n", "100k", "-i", "10", "--trial-log", "/dev/full")
    assert "mpi-pi: error: rank 0 on host" in run.stderr
    assert "argument --trial-log: '/dev/full': No space left on device" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.returncode == 1


def test_full_standard_output_is_an_error(environment: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            SMALL, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=environment, check=False
        )
    (line,) = usual(run.stderr).splitlines()
    assert line.startswith("mpi-pi: error: ")
    assert "standard output: No space left on device" in line
    assert run.returncode == 1
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [MPI_PI, "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=environment | {"PYTHONUNBUFFERED": ""},
            check=False,
        )
    assert (run.returncode, run.stderr) == (1, "mpi-pi: error: standard output: No space left on device\n")


def test_closed_standard_output_is_an_error(launch: Launch) -> None:
    run = launch(0, "sh", "-c", f"{shlex.join(SMALL)} >&-")
    assert (run.returncode, run.stderr) == (1, "mpi-pi: error: standard output is closed\n")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"]])
def test_help_appears_once(launch: Launch, words: list[str]) -> None:
    run = launch(3, MPI_PI, *words)
    assert run.returncode == 0
    assert run.stderr == ""
    assert run.stdout.replace("\r", "") == launch(0, MPI_PI, *words).stdout
    assert run.stdout


def test_help_and_errors_need_neither_mpi_nor_numpy(launch: Launch) -> None:
    program = (
        "import sys; from mpi_pi.cli.main import main; main({argv});"
        "heavy = {{'numpy', 'numba', 'mpi4py', 'tqdm', 'llvmlite', 'matplotlib'}}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    for argv in (["run", "--help"], ["--version"], ["run", "-n", "x"]):
        assert launch(0, sys.executable, "-c", program.format(argv=argv)).stdout.endswith("[]\n")


def test_plain_run_imports_nothing_that_it_does_not_use(launch: Launch) -> None:
    launch(0, *SMALL)  # so that the kernel is in the cache

    def modules(program: str) -> set[str]:
        run = launch(0, sys.executable, "-c", f"import sys; {program}; print(sorted(sys.modules))")
        return set(re.findall(r"'(\w+)'", run.stdout.splitlines()[-1]))

    def of_run(*options: str) -> set[str]:
        return modules(f"from mpi_pi.cli.main import main; main({[*SMALL[1:], *options]})") - needed

    needed = modules("import numpy, mpi4py.MPI")
    ours = of_run()
    assert "numpy" in needed
    assert "mpi_pi" in ours
    assert not ours & {"numba", "llvmlite", "tqdm", "scipy", "matplotlib", "multiprocessing", "asyncio"}
    assert not ours & {"json", "shutil", "subprocess", "traceback"}
    with_bar = of_run("--progress", "on")
    assert "tqdm" in with_bar
    assert not with_bar & {"numba", "scipy", "matplotlib", "multiprocessing", "asyncio"}


@pytest.mark.usefixtures("compiled")
def test_run_needs_little_memory(launch: Launch, tmp_path: Path) -> None:
    """The limits are 300 MB if the kernel is compiled, and 80 MB if it is not.

    LLVM is a file of 180 MB, of which Linux decides how much is in memory.
    """
    cache = tmp_path / "cache"
    for limit, source in ((300, "compiled"), (80, "cache")):
        run = launch(1, *SMALL, "--json", "-", "--cache", str(cache))
        (row,) = json.loads(run.stdout)["ranks"]
        assert row["kernel_source"] == source
        assert row["peak_memory_bytes"] < limit * 1e6


@pytest.mark.usefixtures("compiled")
def test_one_rank_of_a_node_compiles(launch: Launch, tmp_path: Path) -> None:
    command = (*SMALL, "--json", "-", "--cache", str(tmp_path / "cache"))
    sources = [row["kernel_source"] for row in json.loads(launch(4, *command).stdout)["ranks"]]
    assert sorted(sources) == ["cache", "cache", "cache", "compiled"]
    sources = [row["kernel_source"] for row in json.loads(launch(4, *command).stdout)["ranks"]]
    assert sources == ["cache"] * 4


@pytest.mark.usefixtures("compiled")
def test_cache_that_others_can_write_is_not_used(launch: Launch, tmp_path: Path, small_hits: int) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    run = launch(2, *SMALL, "--json", "-", MPI_PI_CACHE=str(cache))
    assert run.returncode == 0
    document = json.loads(run.stdout)
    assert [row["kernel_source"] for row in document["ranks"]] == ["compiled"] * 2
    assert document["estimate"]["hits"] == small_hits
    warnings = [line for line in run.stderr.splitlines() if "mpi-pi: warning" in line]
    assert len(warnings) == 1
    assert "can be written by other users" in warnings[0]
    assert not list(cache.iterdir())


def test_singletons_of_a_foreign_launcher_are_refused(launch: Launch) -> None:
    """Otherwise each rank, unknown to the others, would do the whole job."""
    run = launch(0, *SMALL, PMI_SIZE="4", PMI_RANK="0")
    assert run.returncode == 2
    assert "started 4 ranks, but" in run.stderr
    assert "sees 1" in run.stderr
    assert run.stdout == ""
    silent = launch(0, *SMALL, PMI_SIZE="4", PMI_RANK="2")
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")


@needs_any_mpi
def test_missing_mpi_library_is_explained(launch: Launch) -> None:
    run = launch(0, *SMALL, MPI4PY_LIBMPI="/no/such/libmpi.so")
    assert run.returncode == 1
    assert run.stderr.startswith("mpi-pi: error: no MPI library was found: mpi4py cannot be imported: ")
    assert "cannot load MPI library; /no/such/libmpi.so: cannot open shared object file" in run.stderr
    assert run.stderr.count("\n") == 1


# A program that is the command, but for something that goes wrong on rank 1.
@pytest.mark.parametrize("deed", ["raise", "SIGKILL"])
@pytest.mark.parametrize("point", ["in the kernel", "after the first heartbeat", "in the report of a round"])
def test_failure_on_one_rank_ends_the_job(
    launch: Launch, faults: Faults, tmp_path: Path, deed: str, point: str
) -> None:
    program = faults.program(Fault(point, deed, rank=1))
    files = ("--json", str(tmp_path / "o.json"), "--trial-log", str(tmp_path / "o.csv"))
    run = launch(3, program, *ENDLESS[1:], *files, timeout=30)
    assert run.returncode != 0
    assert not list(tmp_path.iterdir())
    assert "Verification" not in run.stdout
    if deed == "raise":
        assert MESSAGE in run.stderr
        assert re.search(r"rank 1 on host \S+", run.stderr)


def test_answer_that_is_not_verified(launch: Launch, faults: Faults) -> None:
    """Use criteria that no result meets."""
    program = faults.program(values=UNVERIFIABLE)
    for ranks in (0, 2):
        run = launch(ranks, program, *SMALL[1:])
        assert "Verification = UNSUCCESSFUL\nReason = distance from pi: " in run.stdout
        assert run.returncode == 3


def test_failed_launch_leaves_no_process_behind(launch: Launch, faults: Faults) -> None:
    program = faults.program(Fault("in the report of a round", "SIGKILL", rank=1))
    mark = str(secrets.randbits(60))
    launch(2, program, *ENDLESS[1:], "--seed", mark, timeout=30)
    assert not leftovers(mark)


@soak
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_octapi_job_has_its_known_hits(launch: Launch, ranks: int) -> None:
    found = values(launch(ranks, *RUN, "-n", "1M", "-i", "10k", "--seed", "1").stdout)
    assert found["pi"] == "4*(7853993362/10000000000) = 3.1415973448"
