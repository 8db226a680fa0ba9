"""Signs to `mpi-pi keep-running`: separated from other output, however they arrive."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.system import signs
from mpi_pi.system.signs import Beat, End, Sign, SignReader, State

THIS_JOB = "0123456789abcdef"
SOME: list[Sign] = [Beat(), State(10**40, signs.pack("{}")), End(75, -1), End(0, 0)]

outputs = st.lists(st.binary(max_size=40) | st.sampled_from([b"mpi-pi", b"mpi-pi-sign ", b"\n"]), max_size=4)


@given(others=st.lists(outputs, min_size=1, max_size=8), seed=st.integers())
def test_signs_between_other_output_are_found_in_any_pieces(others: list[list[bytes]], seed: int) -> None:
    chance = random.Random(seed)
    sent = [chance.choice(SOME) for _ in others[1:]]
    pieces = [b"".join(other) for other in others]
    stream = pieces[0] + b"".join(
        signs.line(THIS_JOB, sign) + other for sign, other in zip(sent, pieces[1:], strict=True)
    )
    cuts = sorted(chance.choices(range(len(stream) + 1), k=5))
    reader, found, passed = SignReader(THIS_JOB), list[Sign](), b""
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        other, more = reader.feed(stream[start:stop])
        passed, found = passed + other, found + more
    assert found == sent
    assert passed + reader.flush() == b"".join(pieces)


def test_output_is_passed_on_at_once_unless_it_may_begin_a_sign() -> None:
    reader = SignReader(THIS_JOB)
    assert reader.feed(b" 10%|#") == (b" 10%|#", [])
    assert reader.feed(b"\r 20% mpi") == (b"\r 20% ", [])
    assert reader.feed(b"-pi: note") == (b"mpi-pi: note", [])


def test_sign_of_another_job_is_other_output() -> None:
    line = signs.line("another", Beat())
    assert SignReader(THIS_JOB).feed(line) == (line, [])


@pytest.mark.parametrize("words", ["beat 1", "end", "end x 0", "state 1", "state 1 eJxx", "beet", ""])
def test_damaged_sign_is_dropped(words: str) -> None:
    line = signs.line(THIS_JOB, Beat()).replace(b"beat", words.encode())
    assert SignReader(THIS_JOB).feed(b"a" + line + b"b") == (b"ab", [])


def test_sign_that_never_ends_is_not_waited_for() -> None:
    reader = SignReader(THIS_JOB)
    lost = signs.line(THIS_JOB, Beat())[:-1] + b"x" * signs.MAX_BYTES
    assert reader.feed(lost) == (b"", [])
    assert reader.feed(b"more\n") == (b"more\n", [])


@given(text=st.text())
def test_packed_text_is_one_word_and_can_be_unpacked(text: str) -> None:
    assert len(signs.pack(text).split()) == 1
    assert signs.unpack(signs.pack(text)) == text
