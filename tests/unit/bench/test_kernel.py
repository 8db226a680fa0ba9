"""The benchmark of the kernel and its baselines: turns, rates and text."""

import math
import sys
from typing import Any

import jsonschema
import pytest
from scipy import stats

from mpi_pi.bench import baselines
from mpi_pi.bench import kernel as kernel_bench
from mpi_pi.bench.kernel import Implementation
from mpi_pi.bench.median import MedianCI
from mpi_pi.errors import RunError
from mpi_pi.kernel import loader
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model import binomial
from mpi_pi.model.job import Job
from mpi_pi.report import plain
from mpi_pi.report.bench import kernel as kernel_report
from support.benchmarks import benchmark
from support.launching import Launch
from support.schemas import BENCH as SCHEMA

SECTION = {"$ref": "#/properties/kernel", "$defs": SCHEMA["$defs"], "properties": SCHEMA["properties"]}

NUMBA = ["numba + Generator(PCG64)", "numba + np.random"]
OTHERS = ["NumPy, as in Flame's example", "Python, as in the OctaPi lesson"]


def text_of(section: dict[str, Any]) -> str:
    return plain.text(kernel_report.blocks(section))


@pytest.fixture(scope="module")
def shown() -> list[float]:
    return []


@pytest.fixture(scope="module")
def section(shown: list[float]) -> dict[str, Any]:
    return kernel_bench.compare(kernel_bench.implementations(loader.load("numba")), 2e-3, 3, shown.append)


def test_section_follows_the_schema(section: dict[str, Any], shown: list[float]) -> None:
    jsonschema.validate(section, SECTION)
    names = [row["name"] for row in section["rows"]]
    assert names == ["mpi_pi, numba", "mpi_pi, trials of 10,000 points", "mpi_pi, NumPy", *NUMBA, *OTHERS]
    assert shown == sorted(shown)
    assert 0 < shown[0] < shown[-1] == 1


def test_rates_are_compared_turn_by_turn(section: dict[str, Any]) -> None:
    first, *_ = rows = section["rows"]
    for row in rows:
        pairs = zip(first["points_per_second"]["samples"], row["points_per_second"]["samples"], strict=True)
        assert row["times_as_fast"]["samples"] == pytest.approx([ours / theirs for ours, theirs in pairs])
        assert row["cycles_per_point"] > 0
    assert {1.0} == set(first["times_as_fast"]["samples"])


def test_text_of_the_compiled_kernel(section: dict[str, Any]) -> None:
    text = text_of(section)
    own = section["rows"][0]
    rate = own["points_per_second"]["median"]
    assert f"\nRandomness = {rate * own['bits_per_point'] / 1e9:.3g} Gbit/s, 32 bits for a point\n" in text
    assert f"Cycles per point = {own['cycles_per_point']:.3g}\n" in text
    assert "\nSeeding = " in text
    for row in section["rows"]:
        assert f"\n{row['name']}  " in text


def test_table_fits_a_page_even_if_all_rows_are_inconclusive() -> None:
    row = {
        "name": "Python, as in the OctaPi lesson",
        "points_per_second": MedianCI.of([1.42857e9, 4.2e10 / 7]).as_fields(),
        "times_as_fast": MedianCI.of([33.333, 66.666]).as_fields(),
        "bits_per_point": 106,
        "cycles_per_point": 1012.3,
    }
    *_, line = text_of({"rows": [row]}).splitlines()
    assert line.endswith("  lost in noise (1429 … 6000)  lost in noise (33.3 … 66.7)     394    1012")
    assert len(line) <= 110


def test_text_of_the_numpy_kernel() -> None:
    made_up = benchmark(ranks=2)["kernel"]
    made_up["rows"] = [row for row in made_up["rows"] if row["name"] != kernel_bench.SHORT_SUBJECT]
    for row in made_up["rows"]:
        row["cycles_per_point"] = None
        row["points_per_second"] = MedianCI.of([1e8, 1e9]).as_fields()
    text = text_of(made_up)
    assert text.startswith("Rate of a core = lost in noise (100 … 1000) million points/s\n")
    assert "Cycles per point" not in text
    assert "Seeding" not in text
    assert text.splitlines()[-1].endswith(" -")


def test_candidates_take_turns() -> None:
    calls: list[tuple[str, int]] = []

    def counts(name: str) -> Implementation:
        def count(trials: int) -> int:
            calls.append((name, trials))
            return round(trials * 1000 * math.pi / 4)

        return Implementation(name, 1, 1000, count)

    names = ["a", "b", "c"]
    kernel_bench.compare([counts(name) for name in names], 1e-5, 4, lambda _: None)
    turns = calls[-12:]
    assert [name for name, _ in turns] == names * 4
    assert len(set(turns)) == 3  # each of them with as many trials as before


def test_wrong_count_is_an_error() -> None:
    wrong = Implementation("biased", 1, 10**6, lambda trials: round(trials * 10**6 * 0.788))
    with pytest.raises(RunError, match=r"^biased: \d+ hits are \+6\.\d standard errors off$"):
        kernel_bench.compare([wrong], 1e-5, 1, lambda _: None)


@pytest.mark.parametrize(("hits", "points"), [(0, 10), (785_000, 10**6), (7853, 10_000), (10, 10)])
def test_standard_errors_are_those_of_the_binomial_distribution(hits: int, points: int) -> None:
    expected = stats.binom(points, math.pi / 4)
    off = (hits - expected.mean()) / expected.std()
    assert binomial.standard_errors(points, hits) == pytest.approx(off)


def test_bits_per_point_are_those_drawn(compiled: Kernel) -> None:
    assert math.pi * 2 * 92684 / 2**32 == kernel_bench.DEFERRED
    candidate = kernel_bench.subject(compiled, "", 10_000)
    assert 32 < candidate.bits_per_point < 32.01
    assert candidate.count(5) == compiled.count(Job(5, 10_000, 1), range(5)).sum()


def test_what_needs_numba_is_left_out_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "has_numba", lambda: False)
    found = kernel_bench.implementations(loader.load("numpy"))
    assert [candidate.name for candidate in found] == ["mpi_pi, NumPy", *OTHERS]
    assert found[0].bits_per_point == 64


def test_kernel_text_imports_nothing_heavy(launch: Launch) -> None:
    """They are used by what only reads benchmarks, too."""
    program = (
        "import sys; from mpi_pi.report.bench import kernel, noise;"
        "print({'numpy', 'numba', 'llvmlite', 'mpi4py'} & set(sys.modules))"
    )
    assert launch(0, sys.executable, "-c", program).stdout == "set()\n"
