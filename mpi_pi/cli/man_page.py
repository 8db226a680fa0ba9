"""The manual page mpi-pi(1), made from the parser, in the language of roff's package man.

Generators such as argparse-manpage leave out what stands after the options of a command: its exit statuses
and examples.
"""

import argparse
import os
import re
import textwrap
import time
from collections.abc import Iterator

from mpi_pi.cli import help_texts, parser_tree
from mpi_pi.version import __version__

WIDTH = 70
"""Length of the lines of examples, which man(1) indents and does not fold, on a terminal of 80 columns."""


def text(parser: argparse.ArgumentParser) -> str:
    """Return the whole page, with a section for each command that `--help` lists."""
    said: set[str] = set()
    lines = [
        f'.TH MPI\\-PI 1 {_date()} "mpi\\-pi {_escaped(__version__)}" "User Commands"',
        ".nh",  # options are not hyphenated
        *(".SH NAME", f"mpi\\-pi \\- {_escaped(help_texts.SUMMARY)}"),
        *(".SH SYNOPSIS", _usage(parser)),
        *(".SH DESCRIPTION", *list(_paragraphs(parser, parser.description, said))[1:]),  # without .PP
        *(".SH OPTIONS", *_arguments(parser)),
        ".SH COMMANDS",
    ]
    for command in _visible(parser):
        lines += _section(command, said)
    lines += [".SH SEE ALSO", ".BR mpirun (1),", ".BR srun (1)"]
    return "\n".join(lines) + "\n"


def _section(parser: argparse.ArgumentParser, said: set[str]) -> Iterator[str]:
    """Generate the lines of a command and of its parts; `said` are paragraphs that stand further above."""
    yield f".SS {_escaped(parser.prog)}"
    yield _usage(parser)
    yield from _paragraphs(parser, parser.description, said)
    yield from _arguments(parser)
    yield from _paragraphs(parser, parser.epilog, said)
    for part in _visible(parser):
        yield from _section(part, said)


def _visible(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the parsers of the commands that are not hidden."""
    commands = parser_tree.commands_of(parser)
    shown = commands._choices_actions if commands else ()
    return [commands.choices[one.dest] for one in shown if one.help != argparse.SUPPRESS] if commands else []


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage as one line, without breaks inside brackets."""
    words = " ".join(parser.format_usage().split()).removeprefix(f"usage: {parser.prog} ")
    kept = re.sub(r"\[[^]]*\]", lambda option: option[0].replace(" ", "\0"), words)
    return f".B {_escaped(parser.prog)}\n" + "\n".join(_escaped(word) for word in kept.split()).replace(
        "\0", "\\ "
    )


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Generate the lines of all arguments, but not of --help and of those that are hidden."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(
            action, argparse._HelpAction | argparse._SubParsersAction
        ):
            continue
        value = "" if action.nargs == 0 else formatter._format_args(action, action.dest.upper())
        yield ".TP"
        yield ", ".join(
            " ".join(filter(None, (_bold(name), _italic(value)))) for name in action.option_strings
        ) or _italic(value)
        yield from map(_escaped, textwrap.wrap(formatter._expand_help(action) if action.help else "", WIDTH))


def _paragraphs(parser: argparse.ArgumentParser, written: str | None, said: set[str]) -> Iterator[str]:
    """Generate the lines of a description or epilog, without paragraphs that were said before."""
    folded = parser._get_formatter()._fill_text(written, WIDTH, "") if written else ""
    for paragraph in filter(None, folded.split("\n\n")):
        if paragraph not in said:
            said.add(paragraph)
            lines = map(_escaped, paragraph.splitlines())
            example = paragraph.startswith(" ")
            yield from (".PP", ".nf", *lines, ".fi") if example else (".PP", *lines)


def _escaped(plain: str) -> str:
    """Return text as roff shows it: with its own hyphens and backslashes, and no line as a request."""
    roff = plain.replace("\\", "\\e").replace("-", "\\-")
    roff = re.sub(r"[^\0-\x7f]", lambda character: f"\\[u{ord(character[0]):04X}]", roff)
    return re.sub(r"^(?=[.'])", r"\\&", roff)


def _bold(plain: str) -> str:
    return f"\\fB{_escaped(plain)}\\fR"


def _italic(plain: str) -> str:
    return f"\\fI{_escaped(plain)}\\fR" if plain else ""


def _date() -> str:
    """Return today's date, or the one that a build which is to be reproducible gives."""
    return time.strftime("%Y-%m-%d", time.gmtime(float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())))
