"""The command `mpi-pi bench`, with and without a launcher, and its results."""

import itertools
import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mpi_pi.bench import document as document_of
from mpi_pi.bench.document import Benchmark
from mpi_pi.cli import parser
from mpi_pi.cli.bench_options import BenchOptions
from mpi_pi.report import plain
from mpi_pi.report.bench import document as bench_report
from mpi_pi.storage import json_document, result_file
from mpi_pi.system import package
from support import lacks, networks, runs
from support.benchmarks import benchmark
from support.cluster import until
from support.faults import Faults
from support.launching import MPI_PI, MPIRUN, Launch
from support.schemas import BENCH as SCHEMA

SHORT: dict[str, float] = {"bench.manager:QUICK_TURNS": 1, "bench.rounds:QUICK(rounds_seconds)": 0.1}
"""Values with which the cost of rounds is measured in no time."""


def written(name: str, made: Benchmark) -> str:
    Path(name).write_text(json_document.dumps(made))
    return name


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_bench_on_ranks_of_a_launcher_is_written(launch: Launch) -> None:
    run = launch(2, MPI_PI, "bench", "latency", "--json", "bench.json", timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    assert "\nRanks = 2 on 1 host\n" in run.stdout
    made = json.loads(Path("bench.json").read_text())
    jsonschema.validate(made, SCHEMA)
    assert made["round"]["rows"][-1]["ranks"] == 2
    assert not any(made[part] for part in document_of.SECTIONS if part not in ("network", "round"))
    assert made["network"]["pairs"] is None
    (link,) = made["network"]["links"]
    assert link["ranks"] == [0, 1]
    assert [row["bytes"] for row in link["rows"]] == [4**power for power in range(12)]  # 1 B … 4 MiB
    host = made["machine"]["host"]
    assert f"\nNetwork = between rank 0 and rank 1: all ranks are on host {host}\n" in run.stdout
    assert re.search(r"^ *# Size +Latency \(us\) +Bandwidth \(MB/s\)$", run.stdout, re.MULTILINE)
    assert document_of.read("bench.json") == made
    assert plain.text(bench_report.blocks(made)) == run.stdout


def test_network_of_one_rank_is_one_line(launch: Launch, faults: Faults) -> None:
    run = launch(1, faults.program(values=SHORT), "bench", "latency", "--pairs", "--json", "bench.json")
    assert (run.returncode, run.stderr) == (0, "")
    assert "\n\nNetwork = unknown, with one rank\n\n" in run.stdout
    made = document_of.read("bench.json")
    jsonschema.validate(json.loads(Path("bench.json").read_text()), SCHEMA)
    assert made["network"] == {"between": "ranks", "links": [], "pairs": None}


def test_all_pairs_of_ranks_of_a_host_are_measured(launch: Launch, faults: Faults) -> None:
    program = faults.program(values=SHORT)
    run = launch(4, program, "bench", "latency", "--pairs", "--json", "bench.json", timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    made = json.loads(Path("bench.json").read_text())
    jsonschema.validate(made, SCHEMA)
    pairs = made["network"]["pairs"]
    assert sorted(link["ranks"] for link in pairs["links"]) == [
        [*pair] for pair in itertools.permutations(range(4), 2)
    ]
    assert not any(link["silent"] for link in pairs["links"])
    assert "\nPairs = 6 of 4 ranks, in both directions, one pair at a time\n" in run.stdout
    assert re.search(r"^Slowest pair = rank \d – rank \d: ", run.stdout, re.MULTILINE)
    assert len(re.findall(r"^rank \d +[(\d]", run.stdout, re.MULTILINE)) == 8


def test_launcher_is_told_to_measure_pairs() -> None:
    args = parser.parse(["bench", "latency", "--pairs", "--full", "--launcher", "mpirun -n 2"])
    arguments = parser.typed(BenchOptions, args).on_ranks_arguments
    told = parser.typed(BenchOptions, parser.parse(arguments))
    assert (told.pairs, told.full, told.on_ranks, told.launcher) == (True, True, True, None)


def test_options_that_differ_between_ranks_are_refused_after_the_network(
    launch: Launch, faults: Faults
) -> None:
    program = faults.program(values=SHORT)
    more = '[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 1 ] && set -- --pairs'
    run = launch(2, "sh", "-c", f'{more}; exec "{program}" bench latency "$@"')
    assert run.returncode != 0
    assert "is set to do bench latency" in run.stderr


def test_bench_starts_a_launcher_itself(launch: Launch) -> None:
    run = launch(0, MPI_PI, "bench", "noise", "--launcher", f"{MPIRUN} -n 3", "--json", "-", timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    made = json.loads(run.stdout)
    jsonschema.validate(made, SCHEMA)
    assert made["machine"]["ranks"] == 3
    assert made["noise"]["rows"][0]["ranks"] == 3


@pytest.mark.parametrize(
    ("status", "arguments", "complaint"),
    [
        (1, ["noise", "--launcher", "no-mpirun -n 2"], "argument --launcher: 'no-mpirun': No such file"),
        (1, ["noise", "--launcher", "false"], "false: ended with status 1, see above"),
        (1, ["noise", "--launcher", "true"], "true: what it prints is not that of one mpi-pi"),
        (1, ["noise", "--launcher", "echo {}"], "echo '{}': what it prints is not that of one mpi-pi"),
        (2, ["noise", "--json", "none/b.json"], "argument --json: 'none/b.json': No such file or directory"),
        (2, ["noise", "--launcher", ""], "argument --launcher: '': a command is needed"),
        (2, ["noise", "--oversubscribe"], "unrecognized arguments: --oversubscribe"),
        (2, ["scaling", "--pairs"], "unrecognized arguments: --pairs"),
        (1, ["latency", "--pairs", "--launcher", "false"], "false: ended with status 1, see above"),
        (2, ["everything"], "argument PART: invalid choice: 'everything'"),
    ],
)
def test_bad_usage_of_bench_is_one_line(
    launch: Launch, status: int, arguments: list[str], complaint: str
) -> None:
    run = launch(0, MPI_PI, "bench", *arguments)
    assert (run.returncode, run.stdout) == (status, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"mpi-pi: error: {complaint}")
    assert not list(Path().iterdir())


def test_launcher_that_starts_no_ranks_is_refused(launch: Launch) -> None:
    """If not refused, each of its processes would start a launcher of its own."""
    run = launch(0, MPI_PI, "bench", "noise", "--launcher", "env")
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "mpi-pi: error: argument --launcher: has started no ranks that find each other",
        "mpi-pi: error: env: ended with status 2, see above",
    ]


def test_launcher_option_is_refused_on_ranks(launch: Launch) -> None:
    run = launch(2, MPI_PI, "bench", "noise", "--launcher", "mpirun -n 2")
    assert run.returncode == 2
    refusal = "error: argument --launcher: 'mpirun -n 2': not on ranks that are there already"
    assert run.stderr.count(refusal) == 1


def test_one_core_needs_no_mpi(launch: Launch, faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "mpi4py.py").write_text("raise ImportError")
    program = faults.program(values={"bench.kernel:QUICK_SECONDS": 0.005})
    command = ("bench", "kernel", "--json", "kernel.json")
    run = launch(0, program, *command, PYTHONPATH=str(tmp_path / "broken"), timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    made = json.loads(Path("kernel.json").read_text())
    jsonschema.validate(made, SCHEMA)
    assert "\nRate of a core = " in run.stdout


def test_signal_ends_the_launcher_too(environment: dict[str, str]) -> None:
    launcher = "sh -c 'echo $$ > started; exec sleep 600' --"
    process = subprocess.Popen(
        [MPI_PI, "bench", "noise", "--launcher", launcher, "--json", "b.json"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = Path("started")
    until(lambda: started.exists() and started.read_text().endswith("\n"), "the launcher")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "mpi-pi: error: interrupted: nothing is written\n")
    assert not Path("/proc", started.read_text().strip()).exists()
    assert not Path("b.json").exists()


def test_unwritable_file_is_refused_before_the_network_is_measured(launch: Launch) -> None:
    run = launch(2, MPI_PI, "bench", "latency", "--json", "none/b.json")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("error: argument --json: 'none/b.json': No such file or directory") == 1


def test_job_that_fails_leaves_the_rest(launch: Launch) -> None:
    """What was measured before the failure is printed and written."""
    Path("made.json").write_text(json.dumps(benchmark() | {"jobs": None}))
    launcher = Path("false").absolute()
    launcher.write_text('#!/bin/sh\ncase "$*" in *--on-ranks*) cat made.json;; *) exit 1;; esac\n')
    launcher.chmod(0o755)
    run = launch(0, MPI_PI, "bench", "all", "--launcher", str(launcher), "--json", "b.json")
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert "false" in line
    made = json.loads(Path("b.json").read_text())
    jsonschema.validate(made, SCHEMA)
    assert made["scaling"]
    assert made["jobs"] is None
    assert "Strong scaling = " in run.stdout


def test_network_that_was_measured_before_ranks_failed_is_written(launch: Launch) -> None:
    Path("made.json").write_text(json.dumps(networks.benchmark(4, silent=True)))
    launcher = Path("failing").absolute()
    launcher.write_text("#!/bin/sh\ncat made.json\nexit 1\n")
    launcher.chmod(0o755)
    run = launch(
        0, MPI_PI, "bench", "latency", "--launcher", str(launcher), "--json", "b.json", "--csv", "b.csv"
    )
    assert run.returncode == 1
    assert run.stderr.splitlines() == [f"mpi-pi: error: {launcher}: ended with status 1, see above"]
    assert "\nSilent = node2 – node3: no message comes through\n" in run.stdout
    jsonschema.validate(json.loads(Path("b.json").read_text()), SCHEMA)
    rows = Path("b.csv").read_text().splitlines()
    links, pairs = 3 * 12, 10 * 3 + 2  # a row for each size, and one for each silent direction
    assert len(rows) == 2 * 2 + links + pairs + 1
    assert rows.count("node2,node3,yes" + 8 * ",") == 1


def test_whole_job_is_not_timed_from_within_one(launch: Launch) -> None:
    run = launch(2, MPI_PI, "bench", "job", "--json", "b.json")
    assert run.returncode == 2
    assert run.stderr.count("bench job starts mpirun itself") == 1
    assert not Path("b.json").exists()


def test_compare_tells_slower_faster_and_damaged_files(launch: Launch) -> None:
    old, new = written("old", benchmark()), written("new", benchmark(slower=1.5))
    for first, second, status in ((old, new, 1), (new, old, 0), (old, old, 0)):
        run = launch(0, MPI_PI, "bench", "compare", first, second)
        assert (run.returncode, run.stderr) == (status, "")
    Path("result").write_text(result_file.as_json(runs.run(2)))
    Path("damaged").write_text(Path("old").read_text().replace('"median": ', '"median": 1', 1))
    run = launch(0, MPI_PI, "bench", "compare", "result", "damaged")
    assert run.returncode == 2
    assert run.stderr.splitlines() == [
        "mpi-pi: error: result: not a benchmark, but something else of mpi-pi's",
        "mpi-pi: error: damaged: damaged: its checksum is wrong",
    ]


def test_schema_describes_all_and_allows_nothing_else() -> None:
    made: dict[str, Any] = json.loads(json_document.dumps(benchmark()))
    jsonschema.validate(made, SCHEMA)
    changes: list[dict[str, Any]] = [
        {"schema": 1},
        {"schema": 3},
        {"more": 1},
        {"noise": {}},
        {"network": {}},
    ]
    for change in changes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(made | change, SCHEMA)


def test_commit_is_that_of_the_repository(tmp_path: Path) -> None:
    assert package.commit(tmp_path) is None
    lacks.require("git")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").touch()
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert package.commit(tmp_path) == head[:12]
    (tmp_path / "file").write_text("changed")
    assert package.commit(tmp_path) == head[:12] + "-dirty"
