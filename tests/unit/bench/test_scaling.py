"""Speed-up, efficiency and serial fraction of times that follow Amdahl's or Gustafson's law."""

import itertools
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.bench import scaling
from mpi_pi.bench.scaling import GroupTimes, doubling, job_of, ladder, ranks_with_cores
from mpi_pi.model.job import Job
from mpi_pi.report import plain
from mpi_pi.report.bench import scaling as scaling_report
from mpi_pi.system import affinity
from mpi_pi.system.affinity import physical_cores
from support.schemas import BENCH as SCHEMA

JOB = Job(1000, 100_000, 1)
LADDERS = ((1, 2, 4, 8, 11), (1, 2), (64, 128, 256, 300))

fractions = st.floats(0, 1)
ladders = st.sampled_from(LADDERS)


def text_of(section: dict[str, Any]) -> str:
    return plain.text(scaling_report.blocks(section))


def amdahl(serial: float, first_seconds: list[float], ladder: tuple[int, ...]) -> list[GroupTimes]:
    """Rows of times that are exactly Amdahl's; each turn has a first time of its own."""
    return [
        GroupTimes(n, 1, tuple(s * (serial + (1 - serial) * ladder[0] / n) for s in first_seconds))
        for n in ladder
    ]


def section(
    strong: list[GroupTimes], weak: list[GroupTimes], by: str = "ranks", same_hits: bool = True
) -> dict[str, Any]:
    made = {
        "by": by,
        "idle_ranks": 1,
        "same_hits": same_hits,
        "strong": scaling.strong(JOB, strong),
        "weak": scaling.weak(JOB, weak),
    }
    jsonschema.validate(made, SCHEMA["properties"]["scaling"] | {"$defs": SCHEMA["$defs"]})
    return made


@given(fractions, st.lists(st.floats(0.1, 100), min_size=1, max_size=7), ladders)
def test_times_by_amdahls_law_give_its_serial_fraction_back(
    serial: float, first_seconds: list[float], ladder: tuple[int, ...]
) -> None:
    made = scaling.strong(JOB, amdahl(serial, first_seconds, ladder))
    assert made["serial_fraction"]["samples"] == pytest.approx([serial] * len(first_seconds), abs=1e-9)
    first, *others = made["rows"]
    assert first["karp_flatt"] is None
    assert first["speed_up"]["samples"] == first["efficiency"]["samples"] == [1.0] * len(first_seconds)
    for row in others:
        assert row["karp_flatt"]["median"] == pytest.approx(serial, abs=1e-9)
        more = row["ranks"] / ladder[0]
        assert row["speed_up"]["median"] == pytest.approx(1 / (serial + (1 - serial) / more))
        assert row["efficiency"]["median"] * more == pytest.approx(row["speed_up"]["median"])


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=8))
def test_fit_leaves_smaller_squares_than_its_neighbours(seconds: list[float]) -> None:
    more = [float(2**power) for power in range(len(seconds))]
    serial = scaling.serial_fraction(more, seconds)

    def squares(serial: float) -> float:
        """The sum of squared residuals of this serial fraction with the best first time for it."""
        shape = [serial + (1 - serial) / p for p in more]
        first = sum(x * t for x, t in zip(shape, seconds, strict=True)) / sum(x * x for x in shape)
        return sum((t - first * x) ** 2 for x, t in zip(shape, seconds, strict=True))

    least = squares(serial)
    assert all(least <= squares(serial + step) + 1e-9 * sum(t * t for t in seconds) for step in (-0.01, 0.01))


@given(st.lists(st.floats(0.5, 2), min_size=1, max_size=5), ladders)
def test_work_that_grows_with_the_ranks_and_takes_as_long_is_scaled_by_their_number(
    first_seconds: list[float], ladder: tuple[int, ...]
) -> None:
    rows = scaling.weak(JOB, [GroupTimes(n, 1, tuple(first_seconds)) for n in ladder])["rows"]
    assert [row["efficiency"]["median"] for row in rows] == [1.0] * len(ladder)
    assert [row["speed_up"]["median"] for row in rows] == [n / ladder[0] for n in ladder]


def test_text_has_a_row_for_each_number_of_ranks_and_the_serial_fraction() -> None:
    rows = amdahl(0.0625, [1.0, 1.01, 1.02], (1, 2, 4))
    said = plain.text(
        scaling_report.blocks(section(rows, [GroupTimes(n, 1, (0.5, 0.5, 0.5)) for n in (1, 2, 4)]))
    )
    lines = said.splitlines()
    assert "Serial fraction = 0.0625 (0.0625 … 0.0625), by Amdahl's law" in lines
    assert "Same hits = yes, in all rows and turns" in lines
    assert "Idle = 1 rank: a core for each of the others" in lines
    assert [line.split()[:1] for line in lines if line.startswith("    ")] == 2 * [["1"], ["2"], ["4"]]
    (strong_of_4, weak_of_4) = [line for line in lines if line.startswith("    4")]
    assert " 3.37 (3.37 … 3.37) " in strong_of_4  # 1 / (1/16 + 15/16/4)
    assert " 4 (4 … 4) " in weak_of_4


def test_inconclusive_times_have_no_number_and_fit_beside_others() -> None:
    noisy = (1.0, 2.3, 1.111)
    strong = [*amdahl(0.01, [100.01, 110.1, 111.1], (128, 256)), GroupTimes(512, 64, noisy)]
    said = plain.text(
        scaling_report.blocks(
            section(strong, [GroupTimes(n, 1, noisy) for n in (128, 256)], by="hosts", same_hits=False)
        )
    )
    assert max(map(len, said.splitlines())) <= 110
    last_of_strong = next(line for line in said.splitlines() if line.startswith("  512"))
    assert last_of_strong.count("lost in noise") == 3
    assert "Same hits = NO" in said


def test_serial_fraction_of_about_zero_is_a_number_and_a_vague_one_is_not() -> None:
    sure = [GroupTimes(1, 1, (1.0, 1.0, 1.0)), GroupTimes(2, 1, (0.5, 0.498, 0.502))]
    vague = [GroupTimes(1, 1, (1.0, 1.0, 1.0)), GroupTimes(2, 1, (0.5, 0.6, 0.7))]
    weak = [GroupTimes(n, 1, (1.0, 1.0, 1.0)) for n in (1, 2)]
    assert "Serial fraction = 0.0000 (-0.0040 … 0.0040)" in plain.text(
        scaling_report.blocks(section(sure, weak))
    )
    assert "Serial fraction = lost in noise (0.0000 … 0.4000)" in plain.text(
        scaling_report.blocks(section(vague, weak))
    )


def test_one_row_shows_no_serial_fraction() -> None:
    rows = [GroupTimes(4, 2, (1.0, 1.1))]
    made = section(rows, rows)
    assert made["strong"]["serial_fraction"] is None
    assert "Serial fraction = unknown" in text_of(made)


@given(st.integers(1, 10**6))
def test_doubling_ends_with_all(most: int) -> None:
    numbers = doubling(most)
    assert numbers[0] == 1
    assert numbers[-1] == most
    assert all(a < b <= 2 * a for a, b in itertools.pairwise(numbers))


hosts_of_ranks = st.lists(st.sampled_from("abcde"), min_size=1, max_size=20)


@given(hosts_of_ranks, st.data())
def test_rows_hold_all_ranks_of_the_first_hosts(hosts: list[str], data: st.DataObject) -> None:
    ranks = [0, *sorted(data.draw(st.sets(st.integers(0, len(hosts) - 1))) - {0})]
    rows = ladder(hosts, ranks)
    assert rows[-1] == ranks
    assert all(set(row) < set(more) and row[0] == 0 for row, more in itertools.pairwise(rows))
    if len({hosts[rank] for rank in ranks}) > 1:
        for row in rows:
            left_out = set(ranks) - set(row)
            assert {hosts[rank] for rank in row}.isdisjoint({hosts[rank] for rank in left_out})


@given(hosts_of_ranks, st.data())
def test_ranks_have_a_core_each_and_nobody_is_left_out_without_need(
    hosts: list[str], data: st.DataObject
) -> None:
    kinds = st.sampled_from([frozenset(range(4)), frozenset({0, 1}), frozenset({2}), frozenset({3})])
    cores = data.draw(st.lists(kinds, min_size=len(hosts), max_size=len(hosts)))
    kept = ranks_with_cores(hosts, cores)
    assert kept[0] == 0
    for host in set(hosts):
        on_host = [(cores[rank], 1) for rank in kept if hosts[rank] == host]
        assert not affinity.oversubscribed(on_host)
        left_out = [rank for rank in range(len(hosts)) if hosts[rank] == host and rank not in kept]
        assert all(affinity.oversubscribed([*on_host, (cores[rank], 1)]) for rank in left_out)


def test_hardware_threads_are_not_cores(tmp_path: Path) -> None:
    """A rank for each of eight threads, bound to none of them, where there are four cores."""
    for thread in range(8):
        topology = tmp_path / f"sys/devices/system/cpu/cpu{thread}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{thread % 4},{thread % 4 + 4}\n")
    assert ranks_with_cores(["a"] * 8, [physical_cores(range(8), tmp_path)] * 8) == [0, 1, 2, 3]
    each_its_own = [physical_cores({thread}, tmp_path) for thread in range(8)]
    assert ranks_with_cores(["a"] * 8, each_its_own) == [0, 1, 2, 3]


@given(st.floats(1, 1e15), st.integers(1, 4096))
def test_jobs_have_about_as_many_points_as_wanted_and_trials_for_all(points: float, ranks: int) -> None:
    job = job_of(points, ranks)
    assert job.trials >= ranks
    if job.trials > ranks:
        assert job.total_points == pytest.approx(points, abs=job.points / 2)
    if points > 1e6 * ranks:
        assert job.trials >= 256 * ranks
