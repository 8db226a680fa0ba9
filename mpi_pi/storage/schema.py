"""Validation of JSON documents by the package's schemas, with the keywords of JSON Schema that they use.

See json-schema.org, draft 2020-12. Two things are stricter here: 1.0 is no integer, and a number that no
double can hold, such as 1e400, is no number.
"""

import functools
import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mpi_pi.storage.json_document import DocumentError

Schema = Mapping[str, Any]


def check(document: Any, name: str) -> None:
    """Raise DocumentError, naming a member and what is wrong with it, if NAME.schema.json does not hold."""
    schema = _schema(name)
    for problem in _problems(document, schema, schema):
        raise DocumentError(problem.lstrip(".: "))


@functools.cache
def _schema(name: str) -> Schema:
    schema: Schema = json.loads((Path(__file__).parent / f"{name}.schema.json").read_bytes())
    return schema


def _finite(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:
        return False


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: type(value) is int,
    "number": _finite,
    "null": lambda value: value is None,
}

_LIMITS = (
    ("minimum", operator.lt, "less than"),
    ("exclusiveMinimum", operator.le, "not more than"),
    ("maximum", operator.gt, "more than"),
)
"""Keyword, comparison of a wrong value with it, and the text for that."""


def _problems(value: Any, schema: Schema, root: Schema) -> Iterator[str]:
    """Yield what is wrong with a value: `: 1 is no string`, `.rows[3].seconds: is missing`."""
    if "$ref" in schema:
        path = schema["$ref"].removeprefix("#/").split("/")
        yield from _problems(value, functools.reduce(operator.getitem, path, root), root)
    if "anyOf" in schema and all(any(_problems(value, one, root)) for one in schema["anyOf"]):
        yield from _problems(value, schema["anyOf"][0], root)
    types = schema.get("type", ())
    types = [types] if isinstance(types, str) else types
    if types and not any(_TYPES[name](value) for name in types):
        yield f": {_shown(value)} is no {' or '.join(types)}"
        return
    yield from _wrong_value(value, schema)
    if isinstance(value, dict):
        yield from _wrong_members(value, schema, root)
    elif isinstance(value, list):
        yield from _wrong_items(value, schema, root)


def _wrong_value(value: Any, schema: Schema) -> Iterator[str]:
    if "const" in schema and not _equal(value, schema["const"]):
        yield f": {_shown(value)} is not {schema['const']!r}"
    if "enum" in schema and not any(_equal(value, one) for one in schema["enum"]):
        yield f": {_shown(value)} is none of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f": {_shown(value)} does not match {schema['pattern']}"
    if type(value) in (int, float):
        for keyword, is_wrong, text in _LIMITS:
            if keyword in schema and is_wrong(value, schema[keyword]):
                yield f": {_shown(value)} is {text} {schema[keyword]}"


def _wrong_members(value: Mapping[str, Any], schema: Schema, root: Schema) -> Iterator[str]:
    members = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f".{name}: is missing"
    for name, member in value.items():
        rule = members.get(name, schema.get("additionalProperties", True))
        if rule is False:
            yield f": has an unknown member {_shown(name)}"
        elif rule is not True:
            yield from (f".{name}{problem}" for problem in _problems(member, rule, root))


def _wrong_items(value: list[Any], schema: Schema, root: Schema) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        yield f": has {len(value)} items"
    first = schema.get("prefixItems", ())
    rules = [*first, *[schema.get("items", {})] * (len(value) - len(first))]
    for place, (item, rule) in enumerate(zip(value, rules, strict=False)):
        yield from (f"[{place}]{problem}" for problem in _problems(item, rule, root))


def _equal(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)  # in JSON, true is not 1


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "…"
