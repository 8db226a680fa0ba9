"""The command of an origin is what a shell would take apart into its words."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.model.origin import Origin

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(words | st.sampled_from(["", "a b", "--seed=1", "$HOME", "'", '"', "\n", "ä", "*"])))
def test_command_is_its_words_quoted_for_a_shell(arguments: list[str]) -> None:
    argv = ("mpi-pi", *arguments)
    command = Origin("2026-11-26T14:05:35Z", None, None, argv).command
    assert shlex.split(command) == list(argv)
    assert command == shlex.join(argv)
