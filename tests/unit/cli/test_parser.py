"""The command line: numbers as people write them, and one line for each mistake."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.cli.parser import parse
from mpi_pi.cli.quantities import duration, quantity, trials
from mpi_pi.errors import UserError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100000", 100_000),
        ("100_000", 100_000),
        ("1e5", 100_000),
        ("1E+5", 100_000),
        ("100k", 100_000),
        ("10M", 10**7),
        ("2G", 2 * 10**9),
        ("3T", 3 * 10**12),
        ("1.5M", 1_500_000),
        ("1.0", 1),
        ("10e-1", 1),
        ("0", 0),
        ("1e15", 10**15),
        (str(2**200), 2**200),
        ("0007", 7),
    ],
)
def test_number_is_read_as_people_write_it(text: str, number: int) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "abc", "1.5", "nan", "inf", "-inf", "1e", "e5", "1__0", "_1", "1_", "1_k", "0x10", "1 0"],
        *["1e-3", "0.1", "½", "١", "1kk", "1e5.5", "--", "1,000", "1e999999999", "1e-999999999"],
    ],
)
def test_text_that_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a|too large"):
        quantity(text)


@given(st.integers(0, 10**30), st.integers(0, 40))
def test_exponents_are_exact(mantissa: int, exponent: int) -> None:
    assert quantity(f"{mantissa}e{exponent}") == mantissa * 10**exponent


@given(st.text())
def test_any_text_is_a_number_or_an_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert quantity(text) >= 0 or "-" in text


BAD = [
    (["-n", "0", "-i", "1"], "-n/--trials", "'0'"),
    (["-n", "-5", "-i", "1"], "-n/--trials", "'-5'"),
    (["-n", "-1e5", "-i", "1"], "-n/--trials", "'-1e5'"),
    (["--trials", "-.5", "-i", "1"], "-n/--trials", "'-.5'"),
    (["-n", "-inf", "-i", "1"], "-n/--trials", "'-inf'"),
    (["-i", "-NaN", "-n", "1"], "-i/--points", "'-NaN'"),
    (["-n", "1.5", "-i", "1"], "-n/--trials", "'1.5'"),
    (["-n", "", "-i", "1"], "-n/--trials", "''"),
    (["-n", "nan", "-i", "1"], "-n/--trials", "'nan'"),
    (["-n", "inf", "-i", "1"], "-n/--trials", "'inf'"),
    (["-n", "1", "-i", "1e400"], "-i/--points", "'1e400'"),
    (["-n", "1", "-i", "2e18"], "-i/--points", "'2e18'"),
    (["-n", "1", "-i", "ten"], "-i/--points", "'ten'"),
    (["-n", "1"], "-i/--points", "required"),
    (["-i", "1"], "-n/--trials", "required"),
    (["-n", "1", "-i", "1", "--seed", "-1"], "--seed", "'-1'"),
    (["-n", "1", "-i", "1", "--seed", "x"], "--seed", "'x'"),
    (["-n", "1", "-i", "1", "--kernel", "fortran"], "--kernel", "'fortran'"),
    (["-n", "1", "-i", "1", "--progress", "maybe"], "--progress", "'maybe'"),
    (["-n", "1", "-i", "1", "--json", ""], "--json", "''"),
    (["-n", "1", "-i", "1", "--trial-log", ""], "--trial-log", "''"),
    (["-n", "1", "-i", "1", "--cache", ""], "--cache", "''"),
    (["-n", "1", "-i", "1", "--cache", "-"], "--cache", "'-'"),
    (["-n", "1", "-i", "1", "--checkpoint", "-"], "--checkpoint", "'-'"),
    (["-n", "1", "-i", "1", "--nonsense"], "--nonsense", ""),
    (["-n", "1", "-i", "1", "stray"], "stray", ""),
    (["-n"], "-n/--trials", ""),
    (["-n", "1", "-i", "1", "--threads", "0"], "--threads", "'0'"),
    (["-n", "1", "-i", "1", "--threads", "-2"], "--threads", "'-2'"),
    (["-n", "1", "-i", "1", "--threads", "all"], "--threads", "'all'"),
    (["-n", "1", "-i", "1", "--threads", "1e9"], "--threads", "'1e9'"),
    (["-n", "1", "-i", "1", "--seed", "1", "--shard", "0/4"], "--shard", "'0/4'"),
    (["-n", "1", "-i", "1", "--seed", "1", "--shard", "5/4"], "--shard", "'5/4'"),
    (["-n", "1", "-i", "1", "--seed", "1", "--shard", "1-4"], "--shard", "'1-4'"),
    (["-n", "1", "-i", "1", "--seed", "1", "--shard", f"1/{2**97}"], "--shard", "'1/"),
    (["-n", "1", "-i", "1", "--shard", "1/4"], "--shard", "--seed"),
    (["-n", "1", "-i", "1", "--shard", "slurm"], "--shard", "--seed"),
    (["-n", "1", "-i", "1", "--time-limit", "soon"], "--time-limit", "'soon'"),
    (["-n", "1", "-i", "1", "--time-limit", "-5m"], "--time-limit", "'-5m'"),
    (["-n", "1", "-i", "1", "--time-limit", "1:60:00"], "--time-limit", "'1:60:00'"),
    (["-n", "1", "-i", "1", "--checkpoint", ""], "--checkpoint", "''"),
    (["-n", "1", "-i", "1", "--checkpoint", "c", "--checkpoint-every", "x"], "--checkpoint-every", "'x'"),
    (["-n", "1", "-i", "1", "--checkpoint-every", "5"], "--checkpoint-every", "--checkpoint"),
    (["-n", "1", "-i", "1", "--restart"], "--restart", "--checkpoint"),
    (["-n", "1", "-i", "1", "--checkpoint", "c", "--trial-log", "t"], "--trial-log", "--checkpoint"),
    (["-n", "1", "-i", "1", "--seed", "1", "--shard", "1/2", "--trial-log", "t"], "--trial-log", "--shard"),
    (["-n", "1", "-i", "1", "--checkpoint", "c", "--json", "./c"], "--checkpoint", "same file as --json"),
]


@pytest.mark.parametrize(("argv", "option", "value"), BAD)
def test_bad_usage_names_the_option_and_the_value(argv: list[str], option: str, value: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(["run", *argv])
    message = str(raised.value)
    assert option in message
    assert value in message
    assert "\n" not in message


def test_missing_and_unknown_commands_are_refused() -> None:
    for argv in ([], ["fly"]):
        with pytest.raises(UserError):
            parse(argv)


@pytest.mark.parametrize(
    "argv", [[], ["--json", "x"], ["a", "--json", ""], ["a", "--threads", "2"], ["a", "b", "--json", "./b"]]
)
def test_merge_refuses_bad_usage(argv: list[str]) -> None:
    with pytest.raises(UserError):
        parse(["merge", *argv])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("55m", 3300), ("1.5h", 5400), ("2d", 172_800), ("1:30:05", 5405), ("0", 0)],
)
def test_time_is_read_with_its_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@given(st.text())
def test_any_text_is_a_time_or_an_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert duration(text) >= 0


def test_shards_and_threads_are_read_or_refused() -> None:
    args = parse(["run", "-n", "1", "-i", "1", "--seed", "0", "--shard", "3/16", "--threads", "auto"])
    assert (args.shard, args.threads) == ((3, 16), "auto")
    args = parse(["run", "-n", "1", "-i", "1", "--seed", "0", "--shard", "slurm", "--time-limit", "slurm"])
    assert (args.shard, args.threads, args.time_limit) == ("slurm", None, "slurm")


def test_call_of_the_blog_is_understood() -> None:
    args = parse(["run", "-i", "100000", "-n", "1000"])
    assert (args.trials, args.points) == (1000, 100_000)


def test_arguments_may_be_left_to_the_prompt() -> None:
    parse(["run", "--ask"])
    with pytest.raises(ValueError, match="at least 1 trial"):
        trials("0")
