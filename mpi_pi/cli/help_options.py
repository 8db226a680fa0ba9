"""Options of the commands that tell about the program, or give out its files: help and examples."""

import argparse

from mpi_pi.cli import argument_types as types


def add_examples(examples: argparse.ArgumentParser) -> None:
    """Add the arguments of `mpi-pi examples`."""
    examples.add_argument("folder", metavar="DIR", type=types.file, help="new or empty folder")


def add_help(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `mpi-pi help`."""
    command.usage = "mpi-pi help [-h] [COMMAND [PART] | --man | --completion SHELL]"
    command.add_argument("topic", metavar="COMMAND", nargs="*", help="command, and its part, if it has any")
    command.add_argument("--man", action="store_true", help="print the manual page")
    text = "print a script that completes the words of a command line"
    command.add_argument("--completion", choices=("bash", "zsh"), help=text)
