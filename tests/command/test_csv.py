"""The option --csv of commands that print tables."""

import json
import subprocess
from pathlib import Path

import pytest

from mpi_pi.cli.parser import parse
from mpi_pi.errors import UserError
from support import tables
from support.launching import MPI_PI, Launch

RUN = ("run", "-n", "100", "-i", "10000", "--seed", "1", "--progress", "off")


def test_tables_of_a_run_and_of_merged_shards_have_the_points_of_the_json(
    launch: Launch, tmp_path: Path
) -> None:
    shards = []
    for index in (1, 2):
        json_file, csv_file = (tmp_path / f"{index}.{kind}" for kind in ("json", "csv"))
        outputs = ("--json", str(json_file), "--csv", str(csv_file))
        run = launch(2, MPI_PI, *RUN, "--shard", f"{index}/2", *outputs)
        assert run.returncode == 0, run.stderr
        hosts, ranks = tables.read(csv_file.read_text())
        document = json.loads(json_file.read_text())
        assert list(map(int, ranks.column("points"))) == [row["points"] for row in document["ranks"]]
        assert sum(map(int, hosts.column("points"))) == sum(row["points"] for row in document["ranks"])
        shards.append(str(json_file))
    run = launch(0, MPI_PI, "merge", *shards, "--csv", str(tmp_path / "result.csv"))
    assert run.returncode == 0, run.stderr
    hosts, ranks = tables.read((tmp_path / "result.csv").read_text())
    assert (hosts.column("shard"), ranks.column("shard")) == (["1", "2"], ["1", "1", "2", "2"])
    assert sum(map(int, hosts.column("points"))) == 100 * 10000
    cut = r"awk -v RS= '/^hosts\n/' result.csv | tail -n +2 > hosts.csv"
    subprocess.run(["sh", "-c", cut], check=True, cwd=tmp_path, timeout=20)
    assert tables.read((tmp_path / "hosts.csv").read_text())[0].rows == hosts.rows


def test_tables_of_a_check_have_the_rates_of_the_json(launch: Launch, tmp_path: Path) -> None:
    csv_file = tmp_path / "o.csv"
    document = json.loads(launch(2, MPI_PI, "check", "--json", "-", "--csv", str(csv_file)).stdout)
    read = {table.title: table for table in tables.read(csv_file.read_text())}
    assert read.keys() == {"hardware", "software", "measured", "ranks"}
    for title, rows in (("measured", document["hosts"]), ("ranks", document["ranks"])):
        rates = list(map(float, read[title].column("points/s")))
        assert rates == [row["points_per_second"] for row in rows]


@pytest.mark.parametrize(
    ("ranks", "command", "titles"),
    [
        (2, ["burn-in", "3s"], ["hosts", "ranks"]),
        (2, ["bench", "noise"], [""]),
        (0, ["bench", "noise"], [""]),
        (0, ["check", "--node"], ["hardware", "software", "measured", "ranks"]),
    ],
)
def test_command_writes_its_tables(
    launch: Launch, tmp_path: Path, ranks: int, command: list[str], titles: list[str]
) -> None:
    file = tmp_path / "o.csv"
    run = launch(ranks, MPI_PI, *command, "--csv", str(file), timeout=100)
    assert run.returncode in (0, 1), run.stderr
    read = tables.read(file.read_text())
    assert [table.title for table in read] == titles
    assert all(table.rows for table in read)


def test_file_that_cannot_be_written_is_refused(launch: Launch, tmp_path: Path) -> None:
    run = launch(2, MPI_PI, *RUN, "--json", str(tmp_path / "o.json"), "--csv", "/no/such/folder/o.csv")
    assert (run.returncode, run.stdout) == (2, "")
    ours = [line for line in run.stderr.splitlines() if "mpi-pi: " in line]
    assert ours == ["mpi-pi: error: argument --csv: '/no/such/folder/o.csv': No such file or directory"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["run", "-n", "1", "-i", "1"],
        ["check"],
        ["check", "--node"],
        ["merge", "r"],
        ["burn-in", "3s"],
        ["bench", "all"],
    ],
)
def test_one_file_for_two_outputs_is_refused(command: list[str]) -> None:
    with pytest.raises(UserError, match=r"^argument --csv: './a': the same file as --json$"):
        parse([*command, "--json", "a", "--csv", "./a"])
    with pytest.raises(UserError, match=r"^argument --csv: '-': a name is needed$"):
        parse([*command, "--csv", "-"])


def test_input_is_not_overwritten() -> None:
    with pytest.raises(UserError, match=r"^argument --csv: 'a': is one of the files to be merged$"):
        parse(["merge", "a", "b", "--csv", "a"])
    with pytest.raises(UserError, match=r"^argument --csv: 'a': is the baseline, which would be lost$"):
        parse(["check", "--baseline", "a", "--csv", "a"])
    with pytest.raises(UserError, match=r"^argument --trial-log: 'a': the same file as --csv$"):
        parse(["run", "-n", "1", "-i", "1", "--csv", "a", "--trial-log", "a"])
