"""Rate at which an audit finds a wrong rank: the formula, the plan of audits, and the README agree."""

import re
from collections import Counter

import numpy as np
import pytest

from mpi_pi.model import detection
from mpi_pi.parallel.audit_plan import MAX_CELLS, AuditPlan, Ranks, plan
from support.launching import ROOT

RANKS = 4
UNITS_OF_README = 30_000
README = (ROOT / "README.md").read_text()


def rounds(share: float, units: int, number: int) -> list[AuditPlan]:
    """Return the plans of some rounds of equal ranks on two hosts."""
    ranks = Ranks(np.array([0, 0, 1, 1]), np.ones(RANKS, np.bool_))
    return [plan(units * np.arange(RANKS + 1), ranks, share, 3, draw) for draw in range(number)]


@pytest.mark.parametrize("share", [0.0001, 0.003, 0.01, 0.1, 0.37, 1.0])
@pytest.mark.parametrize("units", [1, 9, 117, 1600])
def test_numbers_of_audited_units_are_those_of_the_plan(share: float, units: int) -> None:
    assert detection.CELLS == MAX_CELLS
    plans = rounds(share, units, 150)
    compared = np.array([runs.compared(RANKS) for runs in plans])
    expected: Counter[int] = Counter()
    for chance, number in detection.audited_units(share, units):
        expected[number] += chance  # type: ignore[assignment]
    assert expected.total() == pytest.approx(1)
    assert sum(chance * number for number, chance in expected.items()) == pytest.approx(share * units)
    for number, chance in expected.items():
        those = (compared == 2 * number).all(axis=1).sum()
        assert abs(those - 150 * chance) <= 5 * np.sqrt(150 * chance * (1 - chance)) + 1e-9
    assert set(compared.ravel().tolist()) <= {2 * number for number in expected}


@pytest.mark.parametrize(
    ("share", "units", "error_rate"),
    [(0.01, 400, 0.1), (0.1, 400, 0.01), (0.1, 100, 0.002), (1.0, 100, 0.001), (0.001, 100, 0.5)],
)
def test_wrong_rank_is_found_as_fast_as_the_formula_says(share: float, units: int, error_rate: float) -> None:
    """Rank 2 is wrong in units that it counts and in units that it audits."""
    chance, rank = np.random.default_rng(1), 2
    plans = rounds(share, units, 1000)
    is_found = [bool((chance.random(runs.compared(RANKS)[rank]) < error_rate).any()) for runs in plans]
    wrong = chance.binomial(units, error_rate, len(plans))
    p = 1 - detection.missed(share, units, error_rate)
    sigma = np.sqrt(p * (1 - p) / len(plans))
    assert abs(np.mean(is_found) - p) < 5 * sigma
    # The rounds until it is found, one time after the other.
    times = int(np.sum(is_found))
    last = max(number for number, found in enumerate(is_found) if found) + 1
    tolerance = 5 / np.sqrt(times)
    assert last / times == pytest.approx(detection.mean_rounds(share, units, error_rate), rel=tolerance)
    until_found = wrong[:last].sum() / times
    tolerance += 5 / np.sqrt(wrong.sum())
    expected = detection.mean_wrong_units(share, units, error_rate)
    assert until_found == pytest.approx(expected, rel=tolerance)
    assert detection.found(share, units, error_rate, 3) == pytest.approx(1 - (1 - p) ** 3)


@pytest.mark.parametrize("length", [1, 3, 10, 25])
def test_burst_of_wrong_units_is_found_hardly_more_often_than_one_of_them(length: int) -> None:
    """Of 1600 units of a rank, cells have 100, in which runs have 10."""
    share, units, cell = 0.1, 1600, 100
    starts = np.random.default_rng(1).integers(0, units, 1000)
    found = 0
    for runs, start in zip(rounds(share, units, 1000), starts, strict=True):
        own = runs.of_counter(0)
        audited = np.zeros(units + length, np.bool_)
        for k in own:
            audited[runs.start[k] : runs.stop[k]] = True
        audited[units:] = audited[:length]  # a burst at the end goes on at the beginning
        found += bool(audited[start : start + length].any())
    sigma = np.sqrt(share * (1 - share) / 1000)
    assert share - 5 * sigma < found / 1000 < share + (length - 1) / cell + 5 * sigma


def test_errors_of_every_unit_are_found_at_once_and_none_never() -> None:
    assert detection.found(0.01, 400, 1.0, 1) == 1
    assert detection.found(0.5, 400, 0.0, 1000) == 0
    assert detection.mean_wrong_units(1.0, 400, 1.0) == 400


def short(number: float) -> str:
    """Return a number with two digits."""
    return f"{float(f'{number:.2g}'):.{1 if number < 9.95 else 0}f}"


def test_table_in_the_readme_is_that_of_the_formula() -> None:
    shares = [float(share) / 100 for share in re.findall(r"\| `--audit (\d+)%` ", README)]
    assert len(shares) == 3
    rows = re.findall(r"^\| 1 in ([\d,]+) \| (.*) \|$", README, re.MULTILINE)
    assert [row for row, _ in rows] == ["10", "1000", "1,000,000"]
    assert f"{UNITS_OF_README:,} units" in README
    for number, cells in rows:
        case = [(share, UNITS_OF_README, 1 / int(number.replace(",", ""))) for share in shares]
        expected = [
            f"{short(detection.mean_rounds(*each))} rounds, {short(detection.mean_wrong_units(*each))} units"
            for each in case
        ]
        assert cells.split(" | ") == expected
