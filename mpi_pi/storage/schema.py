"""Validation of JSON documents by the package's schemas, with the keywords of JSON Schema that they use.

See json-schema.org, draft 2020-12. Two things are stricter here: 1.0 is no integer, and a number that no
double can hold, such as 1e400, is no number. The library jsonschema has parts in Rust, for which there may be
no wheel on a Raspberry Pi; the tests compare with it.
"""

import functools
import json
import math
import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpi_pi.formatting import truncated
from mpi_pi.storage.json_document import DocumentError

Schema = Mapping[str, Any]


def check(document: Any, name: str) -> None:
    """Raise DocumentError, naming a member and what is wrong with it, if NAME.schema.json does not hold."""
    schema = _schema(f"{name}.schema.json")
    if problem := _problem(document, schema, schema):
        raise DocumentError(problem.lstrip(".: "))


@functools.cache
def _schema(file: str) -> Schema:
    schema: Schema = json.loads((Path(__file__).parent / file).read_bytes())
    return schema


_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None)}


def _is_of_type(value: Any, name: str) -> bool:
    if name != "number":
        return type(value) is _TYPES[name]
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:
        return False


def _problem(value: Any, schema: Schema, root: Schema) -> str:
    """Return the first problem of a value: `: 1 is no string`, `.rows[3].seconds: is missing`; "" if none."""
    if "$ref" in schema:
        file, _, path = schema["$ref"].partition("#/")
        there = _schema(file) if file else root
        if problem := _problem(value, functools.reduce(operator.getitem, path.split("/"), there), there):
            return problem
    if "anyOf" in schema and all(_problem(value, one, root) for one in schema["anyOf"]):
        return _problem(value, schema["anyOf"][0], root)
    if "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        if not any(_is_of_type(value, name) for name in types):
            return f": {_shown(value)} is no {' or '.join(types)}"
    if problem := _value_problem(value, schema):
        return problem
    if isinstance(value, dict):
        return _member_problem(value, schema, root)
    return _item_problem(value, schema, root) if isinstance(value, list) else ""


def _value_problem(value: Any, schema: Schema) -> str:
    if "const" in schema and not _equal(value, schema["const"]):
        return f": {_shown(value)} is not {schema['const']!r}"
    if "enum" in schema and not any(_equal(value, one) for one in schema["enum"]):
        return f": {_shown(value)} is none of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return f": {_shown(value)} does not match {schema['pattern']}"
    if type(value) in (int, float):
        if value < schema.get("minimum", -math.inf):
            return f": {_shown(value)} is less than {schema['minimum']}"
        if value > schema.get("maximum", math.inf):
            return f": {_shown(value)} is more than {schema['maximum']}"
    return ""


def _member_problem(value: Mapping[str, Any], schema: Schema, root: Schema) -> str:
    for name in schema.get("required", ()):
        if name not in value:
            return f".{name}: is missing"
    members, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, member in value.items():
        rule = members.get(name, others)
        if rule is False:
            return f": has an unknown member {_shown(name)}"
        if rule is not True and (problem := _problem(member, rule, root)):
            return f".{name}{problem}"
    return ""


def _item_problem(value: list[Any], schema: Schema, root: Schema) -> str:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        return f": has {len(value)} items"
    rule = schema.get("items", {})
    for place, item in enumerate(value):
        if problem := _problem(item, rule, root):
            return f"[{place}]{problem}"
    return ""


def _equal(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)  # in JSON, true is not 1


def _shown(value: Any) -> str:
    return truncated(json.dumps(value))
