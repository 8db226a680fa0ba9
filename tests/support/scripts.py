"""Executable scripts that tests write."""

import sys
from pathlib import Path


def first_lines(python: str | Path) -> str:
    """Return those of a script for this Python, as pip writes them where there may be blanks in the path."""
    return f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"


def write(path: Path, text: str, python: str | Path = sys.executable) -> None:
    """Write an executable script for this Python."""
    path.write_text(first_lines(python) + text)
    path.chmod(0o755)
