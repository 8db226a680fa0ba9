"""Activity of each core, from copies of /proc/stat; and job steps of Slurm, from copies of /proc."""

import os
from pathlib import Path

import pytest

from mpi_pi.system import activity, slurm
from support import sensors

TICKS = os.sysconf("SC_CLK_TCK")


def test_work_is_all_but_idle_waiting_and_stolen_time(tmp_path: Path) -> None:
    stat = (
        "cpu  9 9 9 9 9 9 9 9 9 9\n"
        f"cpu0 {TICKS} {TICKS} {TICKS} 77 77 {TICKS} {TICKS} 77 88 99\n"
        "cpu12 0 0 0 5 0 0 0 0 0 0\nintr 12 34\ncpufreq 1 2 3 4 5 6 7 8\n"
    )
    assert activity.busy_seconds(sensors.write(tmp_path, {"proc/stat": stat})) == {0: 5.0, 12: 0.0}


def test_system_that_does_not_tell_has_no_cores(tmp_path: Path) -> None:
    assert activity.busy_seconds(tmp_path) == {}


def test_share_of_others_is_without_our_own() -> None:
    before, after = {0: 10.0, 1: 10.0, 2: 10.0}, {0: 12.0, 1: 12.0, 2: 10.0, 3: 9.0}
    assert activity.shares(before, after, 2.0, {1: 1.5, 2: 0.1}) == {0: 1.0, 1: 0.25, 2: 0.0}


def test_sample_tells_of_all_cores() -> None:
    shares = activity.sample(0.05)
    assert shares
    assert all(0 <= share <= 1 for share in shares.values())


@pytest.mark.parametrize(("own", "steps"), [("", ["12.batch", "123.0"]), ("123", ["12.batch"])])
def test_steps_are_those_of_other_jobs(tmp_path: Path, own: str, steps: list[str]) -> None:
    processes = {
        1: ("slurmstepd", "slurmstepd: [123.0]"),
        2: ("slurmstepd", "slurmstepd: [12.batch]"),
        3: ("slurmstepd", "/usr/sbin/slurmstepd infinity"),
        4: ("bash", "slurmstepd: [5.0]"),
    }
    for number, (name, command) in processes.items():
        sensors.write(tmp_path, {f"proc/{number}/comm": name, f"proc/{number}/cmdline": command + "\0"})
    assert slurm.other_steps(tmp_path, {"SLURM_JOB_ID": own}) == steps
