"""The reference against NumPy, published vectors and independent implementations."""

import math
from decimal import Decimal

import numba
import numpy as np
import pytest
import randomgen
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_pi.kernel import reference
from mpi_pi.model.job import BLOCK, Job
from support.launching import soak

WORD = st.integers(0, 2**64 - 1)
MASK = 2**64 - 1


def test_units_draw_from_the_spawned_seed_sequences_of_numpy() -> None:
    job = Job(trials=4, points=2 * BLOCK + 5, seed=2**77 + 3)
    for unit in range(job.units):
        trial, block = divmod(unit, 3)
        child = np.random.SeedSequence(job.seed).spawn(4)[trial].spawn(3)[block]
        expected = child.generate_state(128, np.uint64).reshape(4, 32)
        assert (reference.unit_state(job, unit) == expected).all()


# The first results from the state (1, 2, 3, 4), as published with the generators of the Rust crate
# rand_xoshiro, which took them from Vigna's own C.
PLUS_PLUS = [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205]
STAR_STAR = [11520, 0, 1509978240, 1215971899390074240, 1216172134540287360]


def test_seed_sequence_gives_the_published_vectors() -> None:
    state = np.array([[1], [2], [3], [4]], np.uint64)
    high, low = [], []
    for _ in PLUS_PLUS:
        high.append(int(reference.high_bits(state)[0]))
        low.append(int(reference.low_bits(state)[0]))
        state = reference.advance(state)
    assert high == PLUS_PLUS
    assert low == STAR_STAR


@given(st.tuples(WORD, WORD, WORD, WORD).filter(any))
@settings(max_examples=50)
def test_generator_and_low_bits_agree_with_randomgen(words: tuple[int, int, int, int]) -> None:
    """randomgen's Xoshiro256 is the ** variant, of the same engine."""
    generator = randomgen.Xoshiro256(0)
    generator.state = generator.state | {"s": np.array(words, np.uint64)}
    state = np.array(words, np.uint64)[:, np.newaxis]
    for _ in range(100):
        assert int(reference.low_bits(state)[0]) == int(generator.random_raw())
        state = reference.advance(state)
    assert (state[:, 0] == generator.state["s"]).all()


words = st.integers(1, 2**32 - 1)


@given(st.integers(0, 2**128 - 1), words, words, st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_seeds_beyond_128_bits_share_streams_as_the_definition_says(
    seed: int, word: int, trial: int, block: int
) -> None:
    longer = np.random.SeedSequence(seed + (word << 128), spawn_key=(trial, block))
    shorter = np.random.SeedSequence(seed, spawn_key=((trial << 32) + word, block))
    other = np.random.SeedSequence(seed, spawn_key=(trial, block))
    assert (longer.generate_state(8) == shorter.generate_state(8)).all()
    assert (longer.generate_state(8) != other.generate_state(8)).any()


def odd_points_in_disc(bits: int) -> int:
    """Count the points with odd coordinates in the disc of radius 2^bits, column by column, in integers."""
    columns = range(1, 1 << bits, 2)
    return 4 * sum((math.isqrt((1 << 2 * bits) - 1 - x * x) + 1) // 2 for x in columns)


@pytest.mark.parametrize("bits", [1, 4, 7])
def test_columns_of_the_lattice_are_counted_right(bits: int) -> None:
    odd = np.arange(1 - (1 << bits), 1 << bits, 2)
    x, y = np.meshgrid(odd, odd)
    assert odd_points_in_disc(bits) == int((x * x + y * y < 1 << 2 * bits).sum())


@soak
def test_bias_of_the_lattice_is_what_the_definition_says() -> None:
    """All 2^30 columns of a quarter are counted, in half a minute."""
    hits = 4 * int(odd_points_above(1 << 31))
    assert 4 * int(odd_points_above(1 << 12)) == odd_points_in_disc(12)
    assert f"{hits:,}" in (reference.__doc__ or "")
    off = Decimal(hits) - Decimal("0.78539816339744830961566084581987572105") * (1 << 62)
    assert round(off) == 8407
    assert f"{off / (1 << 62):.1e}" == "1.8e-15"


@numba.njit
def odd_points_above(radius):  # type: ignore[no-untyped-def]
    """Count the odd points in a quarter of the disc; the root is right to one, and corrected."""
    hits = 0
    for x in range(1, radius, 2):
        room = radius * radius - 1 - x * x
        y = int(math.sqrt(room))
        if y * y > room:
            y -= 1
        if (y + 1) * (y + 1) <= room:
            y += 1
        hits += (y + 1) // 2
    return hits


def hits_by_hand(high: int, low: int) -> list[bool]:
    """Return which of the two points of a pair of words hit, in Python's own integers."""
    points = []
    for place in (0, 32):
        square = 0
        for axis in (0, 16):
            coarse = high >> (place + axis) & 0xFFFF
            coordinate = (coarse - 65536 if coarse >= 32768 else coarse) * 65536
            coordinate += low >> (place + axis) & 0xFFFF | 1
            assert coordinate % 2 == 1
            square += coordinate**2
        points.append(square < 2**62)
    return points


edges = st.sampled_from([0x0000, 0x7FFF, 0x8000, 0xFFFF, 23170, 65536 - 23171])
edge_words = st.tuples(edges, edges, edges, edges).map(
    lambda parts: sum(part << 16 * i for i, part in enumerate(parts))
)


@given(st.lists(st.tuples(WORD | edge_words, WORD | edge_words), min_size=32, max_size=32))
def test_points_on_the_circle_are_judged_exactly(words: list[tuple[int, int]]) -> None:
    high, low = (np.array(column, np.uint64) for column in zip(*words, strict=True))
    expected = [hit for h, lo in words for hit in hits_by_hand(h, lo)]
    assert reference.inside(high, low).tolist() == expected


def scalar_count(job: Job, unit: int) -> int:
    """Return the hits of a unit, point by point in Python's integers, after Blackman and Vigna's C."""

    def rotl(x: int, k: int) -> int:
        return (x << k | x >> (64 - k)) & MASK

    lanes = [[int(word) for word in lane] for lane in reference.unit_state(job, unit).T]
    hits = points = 0
    while points < job.unit_points(unit):
        for s in lanes:
            high = rotl((s[0] + s[3]) & MASK, 23) + s[0] & MASK
            low = rotl(s[1] * 5 & MASK, 7) * 9 & MASK
            for hit in hits_by_hand(high, low):
                hits += hit and points < job.unit_points(unit)
                points += 1
            t = s[1] << 17 & MASK
            s[2] ^= s[0]
            s[3] ^= s[1]
            s[1] ^= s[2]
            s[0] ^= s[3]
            s[2] ^= t
            s[3] = rotl(s[3], 45)
    return hits


@pytest.mark.parametrize("points", [1, 2, 63, 64, 65, 127, 1000, 4999])
def test_hits_are_those_counted_point_by_point(points: int) -> None:
    job = Job(trials=70, points=points, seed=points)
    units = range(60, 70)
    assert reference.count(job, units).tolist() == [scalar_count(job, unit) for unit in units]


def test_coordinates_are_uniform() -> None:
    """A chi-squared test of 16 x 16 cells of the square passes for both scramblers, at 5 sigma."""
    state = np.stack([reference.unit_state(Job(400, 1, 5), unit) for unit in range(400)], axis=1)
    for scrambler in (reference.high_bits, reference.low_bits):
        counts = np.zeros(256)
        s = state
        for _ in range(50):
            bytes_ = scrambler(s).view(np.uint8)
            counts += np.bincount(bytes_.ravel(), minlength=256)
            s = reference.advance(s)
        expected = counts.sum() / 256
        chi_squared = ((counts - expected) ** 2 / expected).sum()
        assert abs(chi_squared - 255) < 5 * np.sqrt(2 * 255)


def test_stopped_count_holds_whole_units() -> None:
    job = Job(trials=200, points=640, seed=1)
    whole = reference.count(job, range(200))
    calls = iter(range(10**6))
    part = reference.count(job, range(200), stop=lambda: next(calls) >= 15)
    assert 0 < len(part) < 200
    assert (part == whole[: len(part)]).all()
