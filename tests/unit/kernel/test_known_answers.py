"""Known answers: kernels of all systems give them, and damage to the machine code in memory is noticed."""

import ast
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from mpi_pi.kernel import known_answers, loader, reference
from mpi_pi.kernel.loader import Kernel
from mpi_pi.kernel.machine_code import CompiledKernel
from support.lacks import lack
from support.launching import TESTS, Launch, soak

FLIPS = TESTS / "support" / "flips.py"


def outcomes(launch: Launch, *bits: str, timeout: float = 120) -> dict[str, int]:
    """Flip bits in a process of its own, small and without threads, which is quick to fork."""
    if not sys.platform.startswith("linux"):
        lack("the right to write to /proc/self/mem")
    run = launch(0, sys.executable, str(FLIPS), *bits, timeout=timeout)
    assert run.returncode == 0, run.stderr
    found: dict[str, int] = ast.literal_eval(run.stdout)
    return found


@pytest.fixture
def no_states_yet() -> Iterator[None]:
    known_answers.edge_states.cache_clear()
    yield
    known_answers.edge_states.cache_clear()


@pytest.mark.usefixtures("no_states_yet")
def test_kernels_give_the_known_answers_where_integers_have_32_bits(
    compiled: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy's default integer has 32 bits on a system of 32 bits."""
    arange = np.arange
    monkeypatch.setattr(np, "arange", lambda *args, **kwargs: arange(*args, **{"dtype": np.int32} | kwargs))
    assert loader.load("numpy").self_test()
    assert compiled.self_test()


def test_most_flips_of_a_bit_are_found(launch: Launch, compiled: Kernel) -> None:
    """Of 200 about 150 are found, and the others are harmless. A few in ten thousand may be missed."""
    found = outcomes(launch, "200")
    assert found["found"] > 100
    assert found.get("missed", 0) <= 1


@soak
@pytest.mark.timeout(7200)
def test_flips_of_all_bits_are_found_but_for_very_few(launch: Launch, compiled: Kernel) -> None:
    """A few flips read what happens to lie on the stack, or count one point in ten thousand wrong."""
    found = outcomes(launch, timeout=7000)
    print(found)
    assert found["found"] > 10_000
    assert found.get("missed", 0) < found["found"] / 1000


@soak
def test_units_that_flips_are_judged_by_are_the_references(compiled: Kernel) -> None:
    from support import flips

    assert isinstance(compiled.count, CompiledKernel)
    for job, unit in flips.units():
        assert compiled.count(job, unit).tolist() == reference.count(job, unit).tolist()
