"""Comparisons of benchmarks whose true ratio is known, because their samples are drawn here."""

import copy
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.bench import comparison, scaling
from mpi_pi.bench.median import MedianCI
from mpi_pi.errors import UserError
from mpi_pi.model.job import Job
from support.benchmarks import benchmark, compared

Document = dict[str, Any]
MADE_UP = benchmark()
SINGLE = benchmark(ranks=1) | {"kernel": None, "jobs": None, "scaling": None}
PAIRS = 40

times = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20)


def drawn(rng: np.random.Generator, noise: float, drift: float, turns: int, slower: float = 1) -> Document:
    """A benchmark on a shared machine.

    Within a run, times are longer than they need be by an exponentially distributed share (mean `noise`),
    now and then by much more; from run to run everything drifts together, and each metric a bit by itself.
    """
    document = copy.deepcopy(MADE_UP)
    of_run = slower * rng.lognormal(0, drift)

    def times_of(median: float) -> list[float]:
        hiccups = np.where(rng.random(turns) < 0.05, 1 + 5 * noise, 1)
        shares = (1 + rng.exponential(noise, turns)) * hiccups
        return list(median * of_run * rng.lognormal(0, drift / 2) * shares)

    document["noise"]["slowdown"] = noise
    for row in document["noise"]["rows"]:
        row["slowdown"] = noise * rng.uniform(0.7, 1.3)
    for row in document["kernel"]["rows"]:
        seconds = times_of(1 / row["points_per_second"]["median"])
        row["points_per_second"] = MedianCI.of(1 / s for s in seconds).as_fields()
    scaling = document["scaling"]
    for row in [
        *document["jobs"],
        *scaling["strong"]["rows"],
        *scaling["weak"]["rows"],
        *document["round"]["rows"],
    ]:
        row["seconds"] = MedianCI.of(times_of(row["seconds"]["median"])).as_fields()
    return document


def words(old: Document, new: Document) -> Counter[str]:
    return Counter(change.verdict for change in comparison.changes(old, new).values())


def rounds_of(seconds: list[float], noise: float = 0.01) -> Document:
    """A benchmark with a single metric."""
    document = copy.deepcopy(SINGLE)
    document["noise"]["rows"][0]["slowdown"] = noise
    document["round"]["rows"][0]["seconds"] = MedianCI.of(seconds).as_fields()
    return document


def word(old: Document, new: Document) -> str:
    [change] = comparison.changes(old, new).values()
    return change.verdict


@pytest.mark.parametrize("turns", [3, 9, 30])
@pytest.mark.parametrize(("noise", "drift"), [(0.005, 0.01), (0.05, 0.03), (0.3, 0.1)])
def test_shared_machine_raises_no_false_alarm(noise: float, drift: float, turns: int) -> None:
    rng = np.random.default_rng(2026)
    alarms = sum(
        words(drawn(rng, noise, drift, turns), drawn(rng, noise, drift, turns))["slower"] > 0
        for _ in range(PAIRS)
    )
    # At most one benchmark in fifty, each of 20 numbers; more than this then happens once in 1000 tests.
    assert alarms <= scipy.stats.binom.isf(1e-3, PAIRS, 0.02)


@pytest.mark.parametrize(
    ("noise", "drift", "turns", "slower"),
    [(0.005, 0.01, 3, 1.2), (0.005, 0.01, 9, 1.2), (0.01, 0.02, 5, 1.3), (0.05, 0.03, 9, 1.6)],
)
def test_true_slowdown_is_found(noise: float, drift: float, turns: int, slower: float) -> None:
    rng = np.random.default_rng(2026)
    found: Counter[str] = Counter()
    for _ in range(PAIRS):
        found += words(drawn(rng, noise, drift, turns), drawn(rng, noise, drift, turns, slower))
    # 95 of a hundred; and what is missed is at least not called faster, or the same.
    assert found["slower"] >= scipy.stats.binom.ppf(1e-3, found.total(), 0.95)
    assert found["faster"] == found["same"] == 0


def test_on_a_noisy_machine_a_small_change_is_lost_in_noise() -> None:
    rng = np.random.default_rng(2026)
    found = words(drawn(rng, 0.3, 0, 9), drawn(rng, 0.3, 0, 9, 1.1))
    assert found["lost in noise"] == found.total()


@given(times, times, st.floats(0, 0.5))
def test_what_is_slower_one_way_is_faster_the_other(was: list[float], is_: list[float], noise: float) -> None:
    old, new = rounds_of(was, noise), rounds_of(is_)
    there, back = word(old, new), word(new, old)
    assert (there, back) in {("slower", "faster"), ("faster", "slower"), (there, there)}
    assert compared(old, new)[1] == (there == "slower")
    assert compared(new, old)[1] == (there == "faster")


@given(times, st.floats(1, 100), st.floats(1, 100), st.floats(0, 0.5))
def test_slower_it_is_the_more_it_is_found(
    was: list[float], slower: float, more: float, noise: float
) -> None:
    order = ["faster", "lost in noise", "same", "slower"]
    one, two = (
        word(rounds_of(was, noise), rounds_of([s * factor for s in was]))
        for factor in (slower, slower * more)
    )
    assert one != "faster"
    assert order.index(two) >= order.index(one) or (one, two) == ("same", "lost in noise")


@given(st.lists(st.floats(0.99, 1.01), min_size=1, max_size=20), st.floats(2.6, 100))
def test_many_times_as_long_is_always_slower(was: list[float], slower: float) -> None:
    assert word(rounds_of(was), rounds_of([s * slower for s in was])) == "slower"


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
def test_beyond_what_both_runs_may_drift_it_is_slower(noise: float) -> None:
    drift = (1 + comparison.MIN_DRIFT) * (1 + noise) ** 2
    old, less, more = (rounds_of([seconds] * 5, noise) for seconds in (1.0, drift - 0.001, drift + 0.001))
    assert (word(old, less) == "slower", word(old, more)) == (False, "slower")
    assert (word(less, old) == "faster", word(more, old)) == (False, "faster")


def test_smallest_visible_change_is_told() -> None:
    """A change a bit smaller is not called slower, a bit larger one is."""
    old = rounds_of([1.0, 1.01, 1.02, 1.03, 1.04, 1.05], 0.05)
    [line] = (row for row in compared(old, old)[0].splitlines() if row.startswith("Least change"))
    least = float(line.removeprefix("Least change to be seen = ").removesuffix(" times"))
    for factor, slower in ((0.99, False), (1.01, True)):
        new = rounds_of([s * least * factor for s in old["round"]["rows"][0]["seconds"]["samples"]], 0.05)
        assert (word(old, new) == "slower") == slower
    # It is the drift, and half of the samples' width for each.
    drift = (1 + comparison.MIN_DRIFT) * 1.05**2
    assert drift < least < drift * 1.06
    nobody_knows = compared(old, rounds_of([0.0]))[0]
    assert "Least change" not in nobody_knows


def test_least_change_is_told_of_the_quietest_and_the_noisiest() -> None:
    document = benchmark(ranks=8, hosts=2)
    document["noise"]["slowdown"] = document["noise"]["rows"][1]["slowdown"] = 1.0
    text, _ = compared(document, document)
    assert re.search(r"^Least change to be seen = 1\.0\d … 4\.\d+ times$", text, re.MULTILINE)


@pytest.mark.parametrize("turns", [3, 4, 5])
def test_few_samples_apart_by_chance_raise_no_alarm(turns: int) -> None:
    rng, pairs = np.random.default_rng(2026), 500
    seconds = rng.lognormal(0, 0.15, (pairs, 2, turns)).tolist()
    alarms = sum(word(rounds_of(was), rounds_of(is_)) == "slower" for was, is_ in seconds)
    assert alarms <= scipy.stats.binom.isf(1e-3, pairs, 0.004)


def test_machine_with_two_speeds_raises_no_false_alarm() -> None:
    mostly_fast, mostly_slow = rounds_of([1.0, 1.0, 1.3] * 33), rounds_of([1.0, 1.3, 1.3] * 33)
    assert word(mostly_fast, mostly_slow) == word(mostly_slow, mostly_fast) == "lost in noise"


def test_single_measurement_says_little() -> None:
    assert word(rounds_of([1.0]), rounds_of([1.5])) == "lost in noise"
    assert word(rounds_of([1.0] * 5), rounds_of([1.5] * 5)) == "slower"


@pytest.mark.parametrize("seconds", [[0.0] * 5, [-1e-6, 0.0, 1e-6, 2e-6, 3e-6]])
def test_time_that_may_be_nothing_is_lost_in_noise(seconds: list[float]) -> None:
    text, slower = compared(rounds_of([1e-4] * 5), rounds_of(seconds))
    assert not slower
    assert "?" in text
    assert text.splitlines()[-6].endswith("lost in noise")


def test_noise_that_was_not_measured_is_assumed() -> None:
    quiet, unknown = rounds_of([1.0] * 5), rounds_of([1.12] * 5)
    assert word(quiet, unknown) == "slower"
    unknown["noise"] = None
    assert word(quiet, unknown) == "lost in noise"
    assert "Noise = 0.4% (old), not measured, 10% assumed (new)" in compared(quiet, unknown)[0]


def test_noisy_host_says_nothing_against_what_ran_on_another() -> None:
    old, new = benchmark(ranks=8, hosts=2), benchmark(ranks=8, hosts=2, slower=1.3)
    for document in (old, new):
        document["noise"]["slowdown"] = document["noise"]["rows"][1]["slowdown"] = 1.0
    found = comparison.changes(old, new)
    lost = {metric.what for metric, change in found.items() if change.verdict == "lost in noise"}
    jobs = {
        f"job {name}, 4 ranks on 2 hosts, {how}" for name in ("Flame", "OctaPi") for how in ("cold", "warm")
    }
    on_both = {f"{what}, 8 ranks on 2 hosts" for what in ("strong scaling", "weak scaling", "round")}
    assert lost == jobs | on_both
    assert {change.verdict for change in found.values()} == {"lost in noise", "slower"}


def test_benchmark_is_the_same_as_itself() -> None:
    text, slower = compared(MADE_UP, MADE_UP)
    assert not slower
    assert "Same = 20 of 20" in text
    assert text.count("(old)") == 1  # the noise


@pytest.mark.parametrize(("ranks", "hosts"), [(4, 1), (4000, 1000)])
def test_rows_say_what_became_how_much_slower(ranks: int, hosts: int) -> None:
    text, slower = compared(benchmark(ranks, hosts), benchmark(ranks, hosts, slower=1.3))
    assert slower
    assert max(map(len, text.splitlines())) <= 110
    [row] = [line.split() for line in text.splitlines() if line.startswith("kernel numba + np")]
    assert row[-8:] == ["points/s", "2.979e+07", "2.291e+07", "1.300", "(1.20", "…", "1.40)", "slower"]
    ranks_and_hosts = f"4 ranks{' on 1000 hosts' * (hosts > 1)}"
    assert f"Most of job Flame, {ranks_and_hosts}, warm = MPI_Init, 0.1513 s (old), 0.1967 s (new)" in text


def test_sections_of_one_benchmark_alone_are_not_compared() -> None:
    old, new = benchmark(ranks=4), benchmark(ranks=2)
    new["kernel"] = None
    text, _ = compared(old, new)
    rows = [
        line for line in text.splitlines() if line.startswith(("kernel", "job", "strong", "weak", "round"))
    ]
    assert [row.split("  ")[0] for row in rows] == [
        f"{what}, {ranks}"
        for what in ("strong scaling", "weak scaling", "round")
        for ranks in ("1 rank", "2 ranks")
    ]
    assert "In one of them alone = 14 (old), 4 (new)" in text
    assert "Ranks = 4 (old), 2 (new)" in text


def test_other_machines_and_versions_are_told_of() -> None:
    other = copy.deepcopy(MADE_UP)
    other["machine"] |= {"cpu": "Another CPU", "kernel": "numpy"}
    other["software"] |= {"mpi": "MPICH 5.0", "numba": None}
    other["version"], other["full"] = "9.9", False
    text, _ = compared(MADE_UP, other)
    assert "CPU = Imaginary CPU @ 3.00GHz (old), Another CPU (new)" in text
    assert f"Kernel = {MADE_UP['machine']['kernel']} (old), numpy (new)" in text
    assert "Software mpi = Open MPI v5.0.11 (old), MPICH 5.0 (new)" in text
    assert f"Software numba = {MADE_UP['software']['numba']} (old), none (new)" in text
    assert "Mode = full (old), quick (new)" in text
    assert f"Version = {MADE_UP['version']} (old), 9.9 (new)" in text


def test_another_job_is_not_compared() -> None:
    other = copy.deepcopy(MADE_UP)
    other["jobs"][0]["job"]["trials"] += 1
    found = comparison.changes(MADE_UP, other)
    assert len(found) == len(comparison.changes(MADE_UP, MADE_UP)) - 1
    assert "job Flame, 4 ranks, cold" not in {metric.what for metric in found}


def scaled(trials: int, overhead_seconds: float, points_per_second: float) -> Document:
    """A benchmark of scaling alone, on a machine where each doubling of ranks has a cost."""

    def rows(weak: bool) -> list[scaling.GroupTimes]:
        return [
            scaling.GroupTimes(
                *(n, 1),
                (overhead_seconds * np.log2(n) + trials * 1000 * (n if weak else 1) / n / points_per_second,)
                * 5,
            )
            for n in (1, 2, 4, 8, 16, 32, 64)
        ]

    job = Job(trials, 1000, 0)
    document = MADE_UP | dict.fromkeys(("kernel", "jobs", "round"))
    return document | {
        "scaling": MADE_UP["scaling"]
        | {"strong": scaling.strong(job, rows(weak=False)), "weak": scaling.weak(job, rows(weak=True))}
    }


@given(st.integers(1000, 100_000), st.integers(1000, 100_000), st.floats(0, 0.1))
def test_that_a_benchmark_has_made_its_jobs_larger_is_no_change(
    trials: int, others: int, overhead_seconds: float
) -> None:
    old, new = (scaled(number, overhead_seconds, 1e7) for number in (trials, others))
    assert set(words(old, new)) <= {"same", "lost in noise"}


def test_slower_machine_is_found_though_its_jobs_were_made_smaller() -> None:
    found = words(scaled(100_000, 1e-4, 1e8), scaled(70_000, 1e-4, 0.7e8))
    assert found["slower"] > 10
    assert found["faster"] == 0


def test_nothing_in_common_is_an_error() -> None:
    parts = ("kernel", "jobs", "scaling", "round")
    old, new = MADE_UP | dict.fromkeys(parts[:3]), MADE_UP | dict.fromkeys(parts)
    with pytest.raises(UserError, match="the old benchmark has round, the new one nothing"):
        compared(old, new)
