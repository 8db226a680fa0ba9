"""The variables of an LSF job, and the answers of bjobs.

IBM's documentation of LSF 10.1 has the variables in "Environment variables set for job execution", and the
answers of `bjobs -o time_left` under `-WL`: hours and minutes, and a letter for the kind of limit, or a dash.
(There is no LSF that could be installed for the tests.)
"""

from pathlib import Path

import pytest

from mpi_pi.system import lsf


def task(index: int, last: int, step: int = 1) -> dict[str, str]:
    names = {"LSB_JOBINDEX": index, "LSB_JOBINDEX_END": last, "LSB_JOBINDEX_STEP": step}
    return {name: str(value) for name, value in names.items()}


@pytest.mark.parametrize(("last", "step", "tasks"), [(4, 1, [1, 2, 3, 4]), (9, 4, [1, 5, 9]), (1, 1, [1])])
def test_shard_is_that_of_the_array_task(last: int, step: int, tasks: list[int]) -> None:
    found = [lsf.shard(task(index, last, step)) for index in tasks]
    assert found == [(k, len(tasks)) for k in range(1, len(tasks) + 1)]


def test_array_that_does_not_begin_at_one_is_refused() -> None:
    with pytest.raises(ValueError, match="do not begin at 1"):
        lsf.shard(task(2, 10, 4))


def test_shard_without_array_is_an_error() -> None:
    for environ in ({}, {"LSB_JOBID": "17", "LSB_JOBINDEX": "0"}, {"LSB_JOBINDEX": "1"}):
        with pytest.raises(ValueError, match="no task of a job array"):
            lsf.shard(environ)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:54 L", 54 * 60), ("30:05 L", (30 * 60 + 5) * 60), ("0:1 X", 60), ("1:00 E", 3600), ("-", None)],
)
def test_remaining_time_is_that_of_bjobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, seconds: float | None
) -> None:
    said = tmp_path / "said"
    bjobs = tmp_path / "bjobs"
    bjobs.write_text(f'#!/bin/sh\necho "$*" >{said}\necho "{text}  "\n')
    bjobs.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert lsf.seconds_left({"LSB_JOBID": "17"}) == seconds
    assert said.read_text() == "-noheader -o time_left 17\n"
    assert lsf.seconds_left({"LSB_JOBID": "17", "LSB_BATCH_JID": "17[3]"}) == seconds
    assert said.read_text() == "-noheader -o time_left 17[3]\n"
    bjobs.write_text("#!/bin/sh\necho Job is not found\n")
    with pytest.raises(ValueError, match="bjobs does not tell"):
        lsf.seconds_left({"LSB_JOBID": "17"})
    with pytest.raises(ValueError, match="this is no LSF job: LSB_JOBID is not set"):
        lsf.seconds_left({})
