"""JSON documents with a checksum, which shows damage and changes by hand.

It is no signature: anybody can compute it. A reader has to check whatever else it relies on.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from mpi_pi.errors import UserError
from mpi_pi.formatting import printable, truncated
from mpi_pi.system.read_file import read_user_file
from mpi_pi.version import __version__

T = TypeVar("T")


class DocumentError(UserError):
    """A file that is not what it should be; the message is one line of bounded length."""

    def __init__(self, why: str) -> None:
        super().__init__(truncated(why, 300))


def head(kind: str, schema: int) -> dict[str, Any]:
    """Return the first members of a document, by which `document` recognises it."""
    return {"schema": schema, "program": "mpi-pi", "kind": kind, "version": __version__}


def dumps(document: dict[str, Any]) -> str:
    """Return a JSON object as text, with a checksum of all its members."""
    return json.dumps(document | {"checksum": _checksum(document)}, indent=1) + "\n"


def read_all(names: Iterable[str], read: Callable[[str], T]) -> list[T]:
    """Return the contents of files. Raises UserError with a line for each file that `read` cannot read."""
    contents, problems = [], []
    for name in names:
        try:
            contents.append(read(name))
        except DocumentError as error:
            problems.append(f"{printable(name)}: {error}")
    if problems:
        raise UserError("\n".join(problems))
    return contents


def content(path: Path | str) -> bytes:
    """Return the content of a file of the user's. Raises DocumentError, caused by an OSError."""
    try:
        content = read_user_file(Path(path))
    except OSError as error:
        raise DocumentError(str(error.strerror)) from error
    if not content:
        raise DocumentError("empty")
    return content


def document(content: bytes, kind: str, *versions: int, version_key: str = "schema") -> dict[str, Any]:
    """Return the document in the content of a file, with all text printable. Raises DocumentError.

    The document has to be of that kind, and its member `version_key` (the schema version) one of `versions`.
    """
    parsed = _parsed(content)
    if parsed.get("kind", kind) != kind:  # schema 1 had no kinds; then the version is to be told
        raise DocumentError(f"not a {kind}, but something else of mpi-pi's")
    found = parsed.get(version_key)
    if type(found) is not int or found not in versions:
        found, program = (truncated(repr(value)) for value in (found, parsed.get("version")))
        *others, last = map(str, versions)
        readable = " or ".join([", ".join(others), last] if others else [last])
        raise DocumentError(f"has {version_key} {found} of mpi-pi {program}, not {readable}")
    try:
        intact = "kind" in parsed and parsed.get("checksum") == _checksum(parsed)
    except RecursionError:
        intact = False
    if not intact:
        raise DocumentError("damaged: its checksum is wrong")
    shown: dict[str, Any] = _with_printable_text(parsed)
    return shown


def kind(content: bytes) -> str:
    """Return the kind of document in the content of a file. Raises DocumentError."""
    return printable(str(_parsed(content).get("kind")))[:40]


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content, object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        # The beginning shows where it came from, even if the rest is lost.
        raise DocumentError("damaged" if b'"mpi-pi"' in content[:100] else "not written by mpi-pi") from None
    if not isinstance(document, dict) or document.get("program") != "mpi-pi":
        raise DocumentError("not written by mpi-pi")
    return document


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise ValueError if a name occurs twice, where parsers differ."""
    pairs = list(pairs)
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a name occurs twice")
    return document


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{constant} is no number")


def _with_printable_text(value: Any) -> Any:
    """Return a JSON value in which no text can break a line, or a file in which it is printed or drawn."""
    if isinstance(value, dict):
        return {name: _with_printable_text(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_printable_text(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def _checksum(document: dict[str, Any]) -> str:
    """Return the SHA-256 of all members but the checksum, whatever their order and indentation."""
    rest = {name: value for name, value in document.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
