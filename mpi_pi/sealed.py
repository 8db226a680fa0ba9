"""JSON documents that carry a checksum, so that whoever reads one knows that it is as it was written."""

import hashlib
import json
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 30
"""What is longer is not ours, and not worth the memory."""


class Unreadable(Exception):
    """A file that is not what it should be; says what is wrong with it."""


def dumps(document: dict[str, Any]) -> str:
    """A JSON object as text, with a checksum of everything else in it as its last member."""
    rest = _without_checksum(document)
    return json.dumps(rest | {"checksum": _checksum(rest)}, indent=1) + "\n"


def read(path: Path, kind: str, layout: str, number: int) -> dict[str, Any]:
    """The document of that kind in a file, as it was written; its member `layout` has to have that number.

    Raises Unreadable, and FileNotFoundError if there is no such file.
    """
    document = _parsed(path)
    if document.get("kind", kind) != kind:  # schema 1 had none: of that, the number is the thing to say
        raise Unreadable(f"not a {kind}, but something else of mpi-pi's")
    if document.get(layout) != number:
        version = document.get("version")
        raise Unreadable(f"has {layout} {document.get(layout)!r} of mpi-pi {version!r}, not {number}")
    if "kind" not in document or not _is_whole(document):
        raise Unreadable("damaged: its checksum is wrong")
    return document


def read_existing(path: Path, kind: str, number: int) -> dict[str, Any]:
    """`read`, where the number is called `schema`; a file that is missing is Unreadable too."""
    try:
        return read(path, kind, "schema", number)
    except FileNotFoundError as error:
        raise Unreadable(str(error.strerror)) from error


def kind(path: Path) -> str:
    """What kind of document a file holds. Raises Unreadable."""
    try:
        return str(_parsed(path).get("kind"))
    except FileNotFoundError as error:
        raise Unreadable(str(error.strerror)) from error


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():
            raise Unreadable("not a regular file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(str(error.strerror)) from error
    if not content:
        raise Unreadable("empty")
    try:
        document = json.loads(content) if len(content) <= MOST_BYTES else None
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        # What has lost its end, or was hit by something else, and still shows whose it is.
        raise Unreadable("damaged" if b'"mpi-pi"' in content[:100] else "not written by mpi-pi") from None
    if not isinstance(document, dict) or document.get("program") != "mpi-pi":
        raise Unreadable("not written by mpi-pi")
    return document


def _is_whole(document: dict[str, Any]) -> bool:
    try:
        return bool(document.get("checksum") == _checksum(_without_checksum(document)))
    except RecursionError:
        return False


def _without_checksum(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "checksum"}


def _checksum(document: dict[str, Any]) -> str:
    """Of the values, not of how they are laid out: a document may be indented otherwise."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
