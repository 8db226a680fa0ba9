"""JSON documents that carry a checksum, so that a file that was damaged, or changed by hand, is noticed.

The checksum is no signature: anyone can compute it again for a document of their own. What a reader relies on
beyond that, it has to check itself.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from mpi_pi.formatting import printable
from mpi_pi.system import read_file


class DocumentError(Exception):
    """A file that is not what it should be; says what is wrong with it, in a line of bounded length."""

    def __init__(self, why: str) -> None:
        super().__init__(why if len(why) <= 300 else why[:300] + "…")


def dumps(document: dict[str, Any]) -> str:
    """A JSON object as text, with a checksum of everything else in it as its last member."""
    rest = _without_checksum(document)
    return json.dumps(rest | {"checksum": _checksum(rest)}, indent=1) + "\n"


def read(path: Path, kind: str, layout: str, number: int) -> dict[str, Any]:
    """Return the document of that kind in a file, as it was written; its `layout` has to have that number.

    Raises DocumentError, and FileNotFoundError if there is no such file.
    """
    return document(_content(path), kind, layout, number)


def document(content: bytes, kind: str, layout: str = "schema", number: int = 1) -> dict[str, Any]:
    """`read`, of what was in a file."""
    parsed = _parsed(content)
    if parsed.get("kind", kind) != kind:  # schema 1 had none: of that, the number is the thing to say
        raise DocumentError(f"not a {kind}, but something else of mpi-pi's")
    if type(parsed.get(layout)) is not int or parsed.get(layout) != number:
        version = parsed.get("version")
        raise DocumentError(
            f"has {layout} {_short(parsed.get(layout))} of mpi-pi {_short(version)}, not {number}"
        )
    if "kind" not in parsed or not _is_whole(parsed):
        raise DocumentError("damaged: its checksum is wrong")
    shown: dict[str, Any] = _with_printable_text(parsed)
    return shown


def content(name: str) -> bytes:
    """Return what is in the file that a user names. Raises DocumentError, also where there is none."""
    try:
        return _content(Path(name))
    except FileNotFoundError as error:
        raise DocumentError(str(error.strerror)) from error


def kind(content: bytes) -> str:
    """Return what kind of document that is. Raises DocumentError."""
    return printable(str(_parsed(content).get("kind")))[:40]


def _content(path: Path) -> bytes:
    try:
        content = read_file.user_file(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DocumentError(str(error.strerror)) from error
    if not content:
        raise DocumentError("empty")
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content, object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        # What has lost its end, or was hit by something else, and still shows whose it is.
        raise DocumentError("damaged" if b'"mpi-pi"' in content[:100] else "not written by mpi-pi") from None
    if not isinstance(document, dict) or document.get("program") != "mpi-pi":
        raise DocumentError("not written by mpi-pi")
    return document


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; ValueError if a name occurs twice, of which readers take either value."""
    pairs = list(pairs)
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a name occurs twice")
    return document


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which are no JSON, and which nothing is measured to be."""
    raise ValueError(f"{constant} is no number")


def _with_printable_text(value: Any) -> Any:
    """Return a value of JSON in which no text can break a line, or a file that it is drawn or printed in."""
    if isinstance(value, dict):
        return {name: _with_printable_text(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_printable_text(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def _short(value: object) -> str:
    """Return a value as it is shown to people who may have made it up."""
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:40] + "…"


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
