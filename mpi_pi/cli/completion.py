"""Completion of the command line by a shell: a script, which shtab makes from the parser.

The script has all words in it, so a key press starts no Python; in a large environment on a network file
system that would take seconds. An administrator can install it for users whose environment lacks shtab.
"""

import argparse
import re

from mpi_pi.cli import parser_tree
from mpi_pi.system import imports

FILES = ("FILE", "HOSTFILE", "OLD", "NEW", "PROGRAM")
"""Names of arguments that are files."""


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a script that completes commands, options, choices and files. Raises PackageError."""
    imports.require("shtab", "complete")
    import shtab

    for one in parser_tree.walk(parser):
        for action in one._actions:
            complete = shtab.FILE if action.metavar in FILES else shtab.DIRECTORY
            if action.metavar in (*FILES, "DIR"):
                action.complete = complete  # type: ignore[attr-defined]  # as shtab has it
            elif action.dest == "topic":
                # All words that may follow; the parser itself refuses other combinations.
                action.choices = _words(parser)
    text: str = shtab.complete(parser, shell)
    # For zsh, shtab would have only the first of several arguments completed.
    return re.sub(r'^  "\(\*\)::?', '  "*:', text, flags=re.MULTILINE) if shell == "zsh" else text


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """Return the names of all commands and of their parts."""
    return [one.prog.rsplit(" ", 1)[1] for one in parser_tree.walk(parser) if " " in one.prog]
