"""The chain of dependent additions by which a core's clock is measured."""

import itertools
import sys
import time

import pytest

from mpi_pi.system import clock


@pytest.mark.parametrize("turns", [1, 2, 1000])
@pytest.mark.parametrize(("p", "q"), [(1, 1), (0x9E3779B97F4A7C15, 2**63 + 7)])
def test_chain_of_additions_is_not_shortened_by_the_compiler(turns: int, p: int, q: int) -> None:
    x = 1
    for _ in range(turns * clock.LINKS):
        x = (x + p) % 2**64 ^ q
    chain = clock.compiled_chain()
    assert chain is not None
    assert chain(turns, p, q) == x


def test_measured_clock_is_plausible() -> None:
    assert 1e8 < (clock.measured_hz() or 0) < 1e10


def test_interrupted_burst_is_not_taken_for_a_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, chain = list[int](), clock.compiled_chain()
    assert chain is not None

    def recorded(turns: int, p: int, q: int) -> int:
        calls.append(turns)
        return chain(turns, p, q)

    real, interruptions = (
        time.perf_counter,
        itertools.accumulate(itertools.chain([0, 1], itertools.repeat(0))),
    )
    monkeypatch.setattr(clock, "compiled_chain", lambda: recorded)
    monkeypatch.setattr(time, "perf_counter", lambda: real() + next(interruptions))
    assert clock.measured_hz()
    # At 100 MHz or more, so many turns take the length of a burst.
    assert 2 * clock.LINKS * calls[-1] > 1e8 * clock.BURST_SECONDS


def test_clock_is_unknown_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.compiled_chain.cache_clear()
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert clock.measured_hz() is None
    clock.compiled_chain.cache_clear()
