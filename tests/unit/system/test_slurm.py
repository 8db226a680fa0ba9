"""Slurm's variables and answers, from its manual pages. (cluster/test_job_scripts.py has a real Slurm.)"""

from pathlib import Path

import pytest

from mpi_pi.system import slurm


def array(text: str) -> list[dict[str, str]]:
    """Return the variables that Slurm 22.05 gives to the tasks of --array=TEXT."""
    spans, step = text, 1
    if ":" in text:
        spans, step_text = text.split(":")
        step = int(step_text)
    numbers: list[int] = []
    for span in spans.split(","):
        first, _, last = span.partition("-")
        numbers += range(int(first), int(last or first) + 1, step)
    about = {"MIN": min(numbers), "MAX": max(numbers), "STEP": step, "COUNT": len(numbers)}
    return [
        {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in (about | {"ID": number}).items()}
        for number in numbers
    ]


@pytest.mark.parametrize("text", ["1-4", "0-3", "0-7:2", "7", "10-30:10", "5-5"])
def test_shard_is_that_of_the_array_task(text: str) -> None:
    tasks = array(text)
    assert [slurm.shard(task) for task in tasks] == [(k + 1, len(tasks)) for k in range(len(tasks))]


@pytest.mark.parametrize("text", ["1,3,7", "1-3,5"])
def test_array_with_gaps_is_refused(text: str) -> None:
    for task in array(text):
        with pytest.raises(ValueError, match="gaps"):
            slurm.shard(task)


def test_shard_without_array_is_an_error() -> None:
    for environ in ({}, {"SLURM_ARRAY_TASK_ID": "x"}):
        with pytest.raises(ValueError, match="no task of a job array"):
            slurm.shard(environ)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("UNLIMITED", None),
        ("0:07", 7),
        ("54:59", 54 * 60 + 59),
        ("1:00:00", 3600),
        ("2-03:04:05", ((2 * 24 + 3) * 60 + 4) * 60 + 5),
    ],
)
def test_remaining_time_is_that_of_squeue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, seconds: float | None
) -> None:
    said = tmp_path / "said"
    squeue = tmp_path / "squeue"
    squeue.write_text(f'#!/bin/sh\necho "$*" >{said}\necho {text}\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert slurm.seconds_left({"SLURM_JOB_ID": "17"}) == seconds
    assert "--jobs=17 " in said.read_text()
    of_array = {"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "4"}
    assert slurm.seconds_left(of_array) == seconds
    assert "--jobs=17_4 " in said.read_text()


@pytest.mark.parametrize("script", ["echo INVALID", "echo", "echo no >&2; exit 1"])
def test_squeue_without_an_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\n{script}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ValueError, match="squeue does not tell"):
        slurm.seconds_left({"SLURM_JOB_ID": "17"})


def test_remaining_time_without_job_or_squeue_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="no Slurm job"):
        slurm.seconds_left({})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="squeue does not tell"):
        slurm.seconds_left({"SLURM_JOB_ID": "17"})
