"""Options that several commands have."""

import argparse

from mpi_pi.cli import argument_types as types


def add_json(command: argparse.ArgumentParser, content: str) -> None:
    """Add `--json FILE`."""
    text = f"write {content} as JSON; -: to standard output"
    command.add_argument("--json", metavar="FILE", type=types.output, help=text)


def add_csv(command: argparse.ArgumentParser) -> None:
    """Add `--csv FILE`."""
    text = "write all tables, with all of their rows, as CSV"
    command.add_argument("--csv", metavar="FILE", type=types.file, help=text)


def add_progress(command: argparse.ArgumentParser) -> None:
    """Add `--progress`."""
    text = "progress bar; default: on a terminal"
    command.add_argument("--progress", choices=("auto", "on", "off"), default="auto", help=text)


def add_cache(command: argparse.ArgumentParser) -> None:
    """Add `--cache DIR`."""
    text = "folder for compiled code; default: $MPI_PI_CACHE, or your own folder in /var/tmp"
    command.add_argument("--cache", metavar="DIR", type=types.folder, help=text)


def add_seed(command: argparse.ArgumentParser) -> None:
    """Add `--seed S`."""
    text = "integer >= 0 of any size; default: random"
    command.add_argument("--seed", metavar="S", type=types.seed, help=text)


def add_threads(command: argparse.ArgumentParser) -> None:
    """Add `--threads T`."""
    text = "threads of each rank; auto: its share of the cores; default: 1"
    command.add_argument("--threads", metavar="T", type=types.threads, help=text)


def add_patience(command: argparse.ArgumentParser, more: str = "") -> None:
    """Add `--patience TIME`; `more` is what else becomes of a silent rank."""
    text = f"silence after which a rank is given up{more}; default: 60s"
    command.add_argument("--patience", metavar="TIME", type=types.patience, help=text)
