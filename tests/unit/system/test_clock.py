"""The chain that a core's clock is measured by: that all of it is done, in order."""

import sys

import pytest

from mpi_pi.system import clock


@pytest.mark.parametrize("turns", [1, 2, 1000])
@pytest.mark.parametrize(("p", "q"), [(1, 1), (0x9E3779B97F4A7C15, 2**63 + 7)])
def test_every_link_of_the_chain_is_there(turns: int, p: int, q: int) -> None:
    x = 1
    for _ in range(turns * clock.LINKS):
        x = (x + p) % 2**64 ^ q
    chain = clock.compiled_chain()
    assert chain is not None
    assert chain(turns, p, q) == x


def test_the_clock_is_one_that_computers_have() -> None:
    assert 1e8 < (clock.measured_hz() or 0) < 1e10


def test_without_a_compiler_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.compiled_chain.cache_clear()
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert clock.measured_hz() is None
    clock.compiled_chain.cache_clear()
