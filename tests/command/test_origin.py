"""What a real run tells of its start, of its hosts and of the cores that its ranks got."""

import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mpi_pi.cli.exit_codes import TIME_LIMIT
from support.launching import MPI_PI, Launch
from support.schemas import RUN
from support.texts import values

SMALL = ("-n", "300", "-i", "1000", "--seed", "1")
OF_JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "LSB_BATCH_JID", "FLUX_JOB_ID")


def in_job(**variables: str) -> list[str]:
    """Return the words for a rank that is in a job with these variables, and in no other.

    The launcher does not have them: the mpirun of Open MPI 4 crashes in a Slurm job that is a mere number.
    """
    unset = [word for name in OF_JOBS for word in ("-u", name)]
    return ["env", *unset, *(f"{name}={value}" for name, value in variables.items())]


def document(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    jsonschema.validate(found, RUN)
    return found


def test_report_and_json_tell_date_job_and_command(launch: Launch, tmp_path: Path) -> None:
    file = tmp_path / "a 'result'.json"
    job = in_job(SLURM_JOB_ID="19", SLURM_ARRAY_JOB_ID="17", SLURM_ARRAY_TASK_ID="3")
    run = launch(2, *job, MPI_PI, "run", *SMALL, "--json", str(file))
    assert run.returncode == 0, run.stderr
    found, lines = document(file), values(run.stdout)
    assert found["argv"] == ["mpi-pi", "run", *SMALL, "--json", str(file)]
    assert lines["Command"] == found["command"] == shlex.join(found["argv"])
    assert lines["Date"] == found["date"]
    assert (found["scheduler"], found["job_id"]) == ("Slurm", "17_3")
    assert lines["Job"] == "Slurm 17_3"
    (host,) = found["hosts"]
    assert (host["ranks"], host["points"]) == ([0, 1], 300_000)
    assert f"{found['points_per_second']:.4e} points/s" == lines["Rate"]
    assert lines["Rate per core"].startswith(f"{found['points_per_second_per_core']:.4e} points/s")


def test_command_with_line_feed_is_one_line_of_the_report(launch: Launch, tmp_path: Path) -> None:
    file = tmp_path / "a\nVerification = b"
    run = launch(0, *in_job(), MPI_PI, "run", *SMALL, "--json", str(file))
    assert values(run.stdout)["Command"].endswith("a\\nVerification = b'")
    assert "Job" not in values(run.stdout)
    assert document(file)["argv"][-1] == str(file)


def test_merged_result_tells_its_own_origin_and_those_of_its_shards(launch: Launch, tmp_path: Path) -> None:
    files = [str(tmp_path / f"{index}.json") for index in (1, 2)]
    for index, file in enumerate(files, 1):
        job = in_job(FLUX_JOB_ID=f"f{index}")
        shard = ("--shard", f"{index}/2", "--json", file)
        assert launch(index, *job, MPI_PI, "run", *SMALL, *shard).returncode == 0
    whole = tmp_path / "whole.json"
    merged = launch(0, *in_job(), MPI_PI, "merge", *files, "--json", str(whole))
    assert merged.returncode == 0, merged.stderr
    found = document(whole)
    assert found["argv"] == ["mpi-pi", "merge", *files, "--json", str(whole)]
    assert (found["scheduler"], found["job_id"]) == (None, None)
    assert values(merged.stdout)["Command"] == shlex.join(found["argv"])
    for index, (shard, file) in enumerate(zip(found["shards"], files, strict=True), 1):
        own = document(Path(file))
        assert (shard["scheduler"], shard["job_id"]) == ("Flux", f"f{index}")
        assert [shard[name] for name in ("argv", "command", "date")] == [
            own[name] for name in ("argv", "command", "date")
        ]
    assert [(host["shard"], len(host["ranks"])) for host in found["hosts"]] == [(1, 1), (2, 2)]


def test_ranks_that_take_turns_on_a_core_are_reported(launch: Launch, tmp_path: Path) -> None:
    """Each counts for more than a second."""
    file = tmp_path / "r.json"
    job = ("-n", "1e15", "-i", "100k", "--seed", "1", "--time-limit", "4s", "--json", str(file))
    run = launch(2, "taskset", "-c", "0", MPI_PI, "run", *job)
    assert run.returncode == TIME_LIMIT, run.stderr
    found = document(file)
    shares = [rank["core_share"] for rank in found["ranks"]]
    assert len(shares) == 2
    assert max(shares) < 0.7
    assert sum(shares) < 1.1
    (host,) = found["hosts"]
    assert host["core_share"] == pytest.approx(min(shares))
    line = values(run.stdout)["Core share"]
    assert line.startswith(f"{host['host']} {100 * min(shares):.0f} %: ranks shared cores ")


def test_short_run_tells_nothing_of_shares_of_a_core(launch: Launch) -> None:
    run = launch(2, "taskset", "-c", "0", MPI_PI, "run", *SMALL)
    assert "Core share" not in values(run.stdout)
