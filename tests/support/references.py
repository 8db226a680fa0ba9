"""References to tests by file and name, such as `cluster/test_networks.py::test_name`."""

import ast
from collections.abc import Iterable

from support.launching import TESTS


def lost(words: Iterable[str]) -> list[str]:
    """Return those of the words that name a test which does not exist."""
    return [word for word in words if "::" in word and not _exists(*word.split("::"))]


def _exists(file: str, name: str) -> bool:
    path = TESTS / file
    found = ast.parse(path.read_text()).body if path.exists() else []
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in found)
