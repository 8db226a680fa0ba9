"""The command `mpi-pi help`: help, completion for a shell, and the manual page, all from the parser."""

import argparse

from mpi_pi.cli import console, parser, parser_tree
from mpi_pi.cli.exit_codes import FAILED, VERIFIED


def execute(args: argparse.Namespace) -> int:
    """Print what was asked for, and return the exit status."""
    return VERIFIED if console.said(_text(args)) else FAILED


def _text(args: argparse.Namespace) -> str:
    whole = parser.build()
    if args.completion:
        from mpi_pi.cli import completion

        return completion.script(whole, args.completion)
    if args.man:
        from mpi_pi.cli import man_page

        return man_page.text(whole)
    return parser_tree.find(whole, args.topic).format_help()
