"""The compiled kernel against the reference, bit for bit, here and for other CPUs."""

import json
import sys
from collections.abc import Sequence

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_pi.kernel import known_answers, layout, reference, seed_sequence, simd
from mpi_pi.kernel import machine_code as compiled_module
from mpi_pi.kernel.loader import Kernel
from mpi_pi.kernel.seed_pool import seed_pool
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.system.machine import machine
from support.launching import Launch, soak

seeds = st.integers(0, 2**32) | st.integers(0, 2**64) | st.integers(0, 2**300)
trials = st.integers(0, 2**64 - 1) | st.integers(0, 1000) | st.integers(2**32 - 2, 2**32 + 2)


@numba.njit
def compiled_state(words, constant, trial, block):  # type: ignore[no-untyped-def]
    state = np.empty(128, np.uint64)
    seed_sequence.unit_state(words, constant, trial, block, np.empty(4, np.uint32), state)
    return state


@given(seeds, trials, st.integers(0, 2**32 - 1) | st.just(0))
def test_seeding_agrees_with_numpy(seed: int, trial: int, block: int) -> None:
    words, constant = seed_pool(seed)
    state = compiled_state(words, np.uint32(constant), np.uint64(trial), np.uint64(block))
    sequence = np.random.SeedSequence(seed, spawn_key=(trial, block))
    assert (state == sequence.generate_state(128, np.uint64)).all()


@given(seeds, trials, st.integers(1, 5), st.integers(1, 200) | st.integers(1, 20_000))
def test_hits_are_those_of_the_reference(
    compiled: Kernel, seed: int, first: int, units: int, points: int
) -> None:
    job = Job(trials=2**64, points=points, seed=seed)
    first = min(first, job.units - units)
    some = range(first, first + units)
    assert compiled.count(job, some).tolist() == reference.count(job, some).tolist()


def test_hits_of_blocks_of_a_trial_are_those_of_the_reference(compiled: Kernel) -> None:
    """The short last blocks are compared with the reference, the whole ones with a call for each alone.

    The reference takes half a minute for a whole block, which the soak spends.
    """
    job = Job(trials=3, points=2 * BLOCK + 77, seed=11)
    short = [compiled.count(job, range(u, u + 1))[0] for u in (2, 5, 8)]
    assert short == [reference.count(job, range(u, u + 1))[0] for u in (2, 5, 8)]
    across = compiled.count(job, range(2, 6))
    assert [across[0], across[3]] == short[:2]
    assert across[1:3].tolist() == [compiled.count(job, range(u, u + 1))[0] for u in (3, 4)]
    assert across[1] != across[2]


def test_hits_of_a_long_unit_are_those_of_the_reference(compiled: Kernel) -> None:
    job = Job(trials=2, points=(1 << 20) + 33, seed=8)
    assert compiled.count(job, range(2)).tolist() == reference.count(job, range(2)).tolist()


@soak
def test_hits_of_a_whole_block_are_those_of_the_reference(compiled: Kernel) -> None:
    job = Job(trials=2, points=BLOCK + 1, seed=5)
    assert compiled.count(job, range(4)).tolist() == reference.count(job, range(4)).tolist()


def test_points_not_in_doubt_are_settled_by_their_high_bits() -> None:
    """In every column x of cells, those next to the ring of doubt are compared by all four corners."""
    x = np.arange(-(2**15), 2**15, dtype=np.int64)
    radius_squared = 2**30
    looked_at = 0
    for bound, side in ((simd.CERTAIN - 1, -1), (radius_squared + layout.MARGIN + 1, 1)):
        # The y of the cells just on the certain side of the bound, above and below the centre.
        room = bound - x * x
        y = np.floor(np.sqrt(np.maximum(room, 0))).astype(np.int64)
        for sign in (1, -1):
            for near in range(-2, 3):
                cells = sign * y + near
                s = x * x + cells * cells
                certain = (s < simd.CERTAIN) if side < 0 else (s > radius_squared + layout.MARGIN)
                certain &= (room >= 0) & (cells >= -(2**15)) & (cells < 2**15)
                looked_at += int(certain.sum())
                corners = [
                    (x[certain] * 65536 + dx) ** 2 + (cells[certain] * 65536 + dy) ** 2
                    for dx in (1, 65535)
                    for dy in (1, 65535)
                ]
                hits = np.array(corners) < 2**62
                assert hits.all() if side < 0 else not hits.any()
    assert looked_at > 10**5


def test_far_corner_of_the_square_is_a_miss() -> None:
    """There s is 2^31, in the one cell where it does not fit signed 32 bits."""
    d = np.array([2**31], np.int64).astype(np.uint32) - np.uint32(simd.CERTAIN)
    assert d[0] >> 31 == 0
    assert d[0] > 2 * layout.MARGIN


def test_known_answers_are_those_of_the_reference() -> None:
    for job, units, hits in known_answers.HITS_OF_UNITS:
        assert reference.count(job, units).tolist() == list(hits)
    states = known_answers.edge_states()
    for state, (pieces, hits) in zip(states, known_answers.HITS_FROM_STATES, strict=True):
        assert hits_from(state, pieces) == list(hits)


def hits_from(state: NDArray[np.uint64], pieces: Sequence[int]) -> list[int]:
    """Return the hits of pieces by the reference; each begins with the first whole step not yet taken."""
    hits = []
    for points in pieces:
        steps = []
        for left in range(points, 0, -64):
            steps.append(reference.inside(reference.high_bits(state), reference.low_bits(state))[:left])
            state = reference.advance(state) if left >= 64 else state
        hits.append(sum(int(step.sum()) for step in steps))
    return hits


def test_some_hundred_known_points_are_in_doubt() -> None:
    """Hits and misses are among both kinds: known answers have to notice any wrong decision."""
    in_doubt, hits = [], []
    for state in known_answers.edge_states():
        high = reference.high_bits(state)
        s = (high.view("<i2").reshape(-1, 2).astype(np.int64) ** 2).sum(axis=1)
        in_doubt.append(abs(s - 2**30) <= layout.MARGIN)
        hits.append(reference.inside(high, reference.low_bits(state)))
    for kind in (np.concatenate(hits), ~np.concatenate(hits)):
        assert (np.concatenate(in_doubt) & kind).sum() > 80
        assert (~np.concatenate(in_doubt) & kind).sum() > 20


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 300), min_size=1, max_size=4))
def test_generator_goes_on_from_piece_to_piece(compiled: Kernel, seed: int, pieces: list[int]) -> None:
    state = reference.unit_state(Job(1, 1, seed), 0)
    assert compiled.resume is not None
    assert compiled.resume(state, pieces) == hits_from(state, pieces)


def test_unit_counted_in_pieces_has_the_hits_of_the_unit_in_one(
    compiled: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(trials=1 << 40, points=BLOCK + 5000, seed=6)
    unit = range(2 * (1 << 34) - 1, 2 * (1 << 34))
    whole = compiled.count(job, unit).tolist()
    assert whole == reference.count(job, unit).tolist()
    monkeypatch.setattr(compiled_module, "PIECE", 1024)
    assert compiled.count(job, unit).tolist() == whole


def test_no_two_of_the_first_million_units_share_a_state() -> None:
    """The lesson draws its seeds from 65,536, so that a million trials hold each of them 15 times."""
    states = first_lane_states(*seed_pool(2017), 10**6)
    assert len(np.unique(states, axis=0)) == 10**6


@numba.njit
def first_lane_states(words, constant, units):  # type: ignore[no-untyped-def]
    states = np.empty((units, 4), np.uint64)
    state, pool = np.empty(128, np.uint64), np.empty(4, np.uint32)
    for unit in range(units):
        seed_sequence.unit_state(words, np.uint32(constant), np.uint64(unit), np.uint64(0), pool, state)
        for i in range(4):
            states[unit, i] = state[32 * i]
    return states


OTHER_CPUS = [("generic", ""), ("haswell", "+avx2"), ("", None)]
if machine().flags[:2] == ("avx512f", "avx512bw"):
    OTHER_CPUS.append(("skylake-avx512", "+avx512f,+avx512bw"))


@pytest.mark.parametrize(("cpu", "features"), OTHER_CPUS)
def test_hits_are_the_same_compiled_for_another_cpu(
    launch: Launch, compiled: Kernel, cpu: str, features: str | None
) -> None:
    program = (
        "import json, sys; from mpi_pi.kernel import loader as kernels; from mpi_pi.model.job import Job;"
        "k = kernels.load('numba');"
        "print(json.dumps([k.target, k.count(Job(50, 100_001, 3), range(50)).tolist()]))"
    )
    settings_ = {"NUMBA_CPU_NAME": cpu} if cpu else {}
    settings_ |= {} if features is None else {"NUMBA_CPU_FEATURES": features}
    run = launch(0, sys.executable, "-c", program, **settings_)
    assert run.returncode == 0, run.stderr
    target, hits = json.loads(run.stdout)
    assert not cpu or target == cpu
    assert hits == reference.count(Job(50, 100_001, 3), range(50)).tolist()


def test_width_of_registers_follows_the_cpu() -> None:
    assert simd.register_shape("+avx2,+avx512bw") == (8, 2)
    assert simd.register_shape("+sse4.2,+avx2") == (4, 2)
    assert simd.register_shape("+neon") == (2, 4)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("+avx512bw,+avx512vbmi,-avx512vbmi2,+avx512vpopcntdq", False),
        ("+avx512bw,+avx512vbmi2,-avx512vpopcntdq", False),
        ("+avx512bw,+avx512vbmi2,+avx512vpopcntdq", True),
        ("+neon", False),
    ],
)
def test_signs_are_collected_where_one_instruction_does_it(features: str, expected: bool) -> None:
    assert simd.collects_signs(features) is expected


def test_without_the_compiler_the_numpy_kernel_counts(launch: Launch) -> None:
    """NUMBA_DISABLE_JIT would make numba's arithmetic wrong without a word."""
    program = (
        "from mpi_pi.kernel import loader as kernels; k = kernels.load('auto'); print(k.name, k.warning)"
    )
    run = launch(0, sys.executable, "-c", program, NUMBA_DISABLE_JIT="1")
    assert run.stdout.startswith("numpy NUMBA_DISABLE_JIT is set")
    refused = launch(0, sys.executable, "-c", program.replace("auto", "numba"), NUMBA_DISABLE_JIT="1")
    assert "Unavailable" in refused.stderr
