"""OS noise: the arithmetic against NumPy, CPU times against psutil, and a measurement on two ranks."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.bench import noise
from mpi_pi.bench.noise import Slowdown
from mpi_pi.report import plain
from mpi_pi.report.bench import noise as noise_report
from support.benchmarks import benchmark
from support.schemas import BENCH as SCHEMA

SECTION = {"$ref": "#/properties/noise", "$defs": SCHEMA["$defs"], "properties": SCHEMA["properties"]}

STAT = """\
cpu  1200 0 340 90000 12 0 8 4500 100 0
cpu0 400 0 100 45000 6 0 4 500 100 0
cpu1 800 0 240 45000 6 0 4 4000 0 0
cpu11 1 2 3 4 5 6 7 8 9 10
intr 12345 0 9
ctxt 999
"""


def text_of(section: dict[str, Any]) -> str:
    return plain.text(noise_report.blocks(section))


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=300))
def test_slowdown_agrees_with_numpy(seconds: list[float]) -> None:
    found = Slowdown.of(seconds)
    times = np.array(seconds)
    p99 = np.percentile(times, 99, method="inverted_cdf")
    expected = [times.mean(), p99, times.max()] / times.min() - 1
    assert [found.slowdown, found.p99, found.longest] == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-9)


def test_host_is_as_noisy_as_the_noisiest_of_its_ranks() -> None:
    calm, loud = Slowdown(0.01, 0.5, 2.0), Slowdown(0.1, 0.3, 1.0)
    rows = noise.group_by_host([("b", calm, None), ("a", calm, 0.2), ("b", loud, 0.1), ("c", calm, None)])
    assert rows == [
        {"host": "b", "ranks": 2, "slowdown": 0.1, "p99": 0.3, "longest": 1.0, "stolen": 0.1},
        {"host": "a", "ranks": 1, "slowdown": 0.01, "p99": 0.5, "longest": 2.0, "stolen": 0.2},
        {"host": "c", "ranks": 1, "slowdown": 0.01, "p99": 0.5, "longest": 2.0, "stolen": None},
    ]


@pytest.mark.parametrize(
    ("cores", "expected"),
    [({0}, (500, 46010)), ({0, 1}, (4500, 96060)), ({11}, (8, 36)), ({1, 7}, (4000, 50050)), ({7}, None)],
)
def test_cpu_times_of_recorded_cores_are_read(
    tmp_path: Path, cores: set[int], expected: tuple[int, int] | None
) -> None:
    (tmp_path / "stat").write_text(STAT)
    assert noise.cpu_times(cores, tmp_path / "stat") == expected


def test_steal_time_is_unknown_where_the_system_does_not_tell(tmp_path: Path) -> None:
    assert noise.cpu_times({0}, tmp_path / "stat") is None
    (tmp_path / "stat").write_text("cpu0 400 0 100 45000\n")  # Linux before 2.5.41
    assert noise.cpu_times({0}, tmp_path / "stat") is None


def test_cpu_times_of_this_machine_agree_with_psutil() -> None:
    cores = range(os.cpu_count() or 1)

    def agreed() -> bool:
        before = noise.cpu_times(cores)
        told = psutil.cpu_times(percpu=True)
        after = noise.cpu_times(cores)
        assert before is not None
        assert after is not None
        # psutil tells seconds, and counts the time of guests twice.
        own = (
            sum(core.steal for core in told),
            sum(sum(core) - core.guest - core.guest_nice for core in told),
        )
        ticks = [round(seconds * os.sysconf("SC_CLK_TCK")) for seconds in own]
        return all(low <= now <= high for low, now, high in zip(before, ticks, after, strict=True))

    # Some of these times may go backwards now and then, see proc(5).
    assert any(agreed() for _ in range(10))


def test_steal_share_is_that_between_two_times() -> None:
    assert noise.steal_share((500, 46010), (520, 46210)) == 0.1
    assert noise.steal_share((500, 46010), (500, 46010)) is None
    assert noise.steal_share(None, (500, 46010)) is None
    assert noise.steal_share((500, 46010), None) is None


def test_noisiest_hosts_are_listed() -> None:
    section = benchmark(ranks=200, hosts=100)["noise"]
    head, _, listed = text_of(section).partition("\n\n")
    assert head.splitlines()[0].endswith("on node99")
    names, first, *others, last = listed.splitlines()
    assert names.split()[:3] == ["host", "ranks", "noise"]
    assert first.startswith("node99")
    assert len(others) == noise_report.MAX_HOSTS - 1
    assert last == "(the noisiest of 100 hosts)"
