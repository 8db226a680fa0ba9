"""The parsers of a command line, one for each command and each part of a command."""

import argparse
from collections.abc import Iterator, Sequence

from mpi_pi.errors import UserError


def commands_of(parser: argparse.ArgumentParser) -> argparse._SubParsersAction | None:  # type: ignore[type-arg]
    """Return the action that has the commands of a parser; None if there are none."""
    found = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return next(found, None)


def find(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of a command, or of a part of one, by its words. Raises UserError."""
    for word in words:
        commands = commands_of(parser)
        if commands is None:
            raise UserError(f"argument COMMAND: {word!r}: {parser.prog} has no parts")
        if word not in commands.choices:
            known = ", ".join(commands.choices)
            raise UserError(f"argument {commands.metavar}: {word!r}: choose from {known}")
        parser = commands.choices[word]
    return parser


def walk(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Generate a parser, and those of its commands, of their parts, and so on."""
    yield parser
    commands = commands_of(parser)
    for one in commands.choices.values() if commands else ():
        yield from walk(one)
