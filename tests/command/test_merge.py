"""The command `mpi-pi merge` on files of real runs."""

import json
import re
from pathlib import Path

import jsonschema

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job
from mpi_pi.report import html as html_report
from mpi_pi.report.sources import Item
from mpi_pi.storage import result_file
from support.launching import MPI_PI, Launch
from support.schemas import RUN as SCHEMA


def test_merge_of_shards_has_the_hits_of_the_whole(launch: Launch, tmp_path: Path) -> None:
    job = ("-n", "70", "-i", "20001", "--seed", "8")
    for index in (1, 2, 3):
        file = str(tmp_path / f"part-{index}.json")
        run = launch(index - 1, MPI_PI, "run", *job, "--shard", f"{index}/3", "--json", file)
        assert run.returncode == 0, run.stderr
        assert f"Shard = {index}/3, {len(Job(70, 20001, 8).shard(index, 3))} of 70 units" in run.stdout
    parts = [str(path) for path in sorted(tmp_path.iterdir())]
    merged = launch(0, MPI_PI, "merge", *parts, "--json", str(tmp_path / "whole.json"), "--per-rank")
    assert merged.returncode == 0, merged.stderr
    hits = reference.count(Job(70, 20001, 8), range(70)).sum()
    assert f"pi = 4*({hits}/1400070) = " in merged.stdout
    assert "Verification = SUCCESSFUL" in merged.stdout
    assert "Shards = 3, merged" in merged.stdout
    document = json.loads((tmp_path / "whole.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["estimate"]["hits"] == hits
    assert json.loads(launch(2, MPI_PI, "merge", *parts, "--json", "-").stdout)["estimate"]["hits"] == hits

    refused = launch(0, MPI_PI, "merge", *parts[:2], "--json", str(tmp_path / "no.json"))
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr == "mpi-pi: error: missing: shard 3/3\n"
    assert not (tmp_path / "no.json").exists()


def rows_of_hosts(text: str) -> list[list[str]]:
    """Return the rows of the table of hosts without their share of all points."""
    (head, *_, rows) = re.findall(r"^((?: *shard +)?host +ranks .*)\n((?:.+\n)+)", text, re.M)[0]
    share = head.split().index("share")
    return [row.split()[:share] + row.split()[share + 1 :] for row in rows.splitlines()]


def test_merged_report_tells_nothing_that_was_not_measured(launch: Launch, tmp_path: Path) -> None:
    """The report on each of several shards counted in turn is that of its own run."""
    job = ("-n", "70", "-i", "20001", "--seed", "8")
    own, documents = [], []
    for index in (1, 2, 3):
        file = tmp_path / f"{index}.json"
        run = launch(2, MPI_PI, "run", *job, "--shard", f"{index}/3", "--json", str(file))
        own += [[f"{index}/3", *row] for row in rows_of_hosts(run.stdout.replace("\r", ""))]
        documents.append(json.loads(file.read_text()))
    whole = str(tmp_path / "whole.json")
    merged = launch(0, MPI_PI, "merge", *[str(tmp_path / f"{k}.json") for k in (3, 1, 2)], "--json", whole)
    assert "\nRanks = 2 in each of 3 shards on 1 host\n" in merged.stdout
    assert rows_of_hosts(merged.stdout) == own
    seconds = sum(document["spent"]["round_seconds"] for document in documents)
    assert f"\nRate = {1400070 / seconds:.4e} points/s (" in merged.stdout
    assert "Rank 0, " not in merged.stdout
    document = json.loads(Path(whole).read_text())
    jsonschema.validate(document, SCHEMA)
    assert [(shard["index"], shard["ranks"]) for shard in document["shards"]] == [(1, 2), (2, 2), (3, 2)]
    # What is read back, and merged once more, says the same.
    again = launch(0, MPI_PI, "merge", whole)
    texts = [re.sub(r"^(Date|Command) = .*\n", "", one.stdout, flags=re.MULTILINE) for one in (again, merged)]
    assert texts[0] == texts[1]
    page = html_report.page([Item("whole", result_file.read(whole))])
    assert "in each of 3 shards on 1 host" in page
