"""Results of older schemas, converted to the present one.

A conversion leaves what is wrong to `schema.check`, which complains of it.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from mpi_pi.storage.fields import origin_fields, without_audits
from mpi_pi.storage.json_document import DocumentError

SCHEMAS = WITHOUT_REPAIRS, WITHOUT_AUDITS, WITHOUT_ORIGIN = 5, 6, 7
"""Each lacks what the next one has: losses of ranks, audits, the origin of the result."""


def converted(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document of one of `SCHEMAS` as one of the present schema; any other as it is."""
    steps = {WITHOUT_REPAIRS: _with_repairs, WITHOUT_AUDITS: _with_audit, WITHOUT_ORIGIN: _with_origin}
    for number, step in steps.items():
        if document.get("schema") == number:
            document = step(document)
    return document


def _with_repairs(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document in which no ranks were lost as one of the next schema."""
    if "repairs" in document:
        raise DocumentError(f"repairs: schema {WITHOUT_REPAIRS} has none")
    added: dict[str, Any] = {"schema": WITHOUT_AUDITS, "repairs": []}
    with contextlib.suppress(KeyError, TypeError):
        added["shards"] = [row | {"started_ranks": row["ranks"]} for row in document["shards"]]
    return {**document, **added}


def _with_audit(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document without audits as one of the next schema."""
    rows: dict[str, Callable[[Any], Any]] = {
        "shards": lambda row: row | {"spent": row["spent"] | {"recounted_units": 0}},
        "repairs": lambda row: row | {"excluded": []},
        "ranks": lambda row: row | {"cores": "", "audit_seconds": 0.0},
    }
    added: dict[str, Any] = {"schema": WITHOUT_ORIGIN, "audit": None}
    for name, converted in rows.items():
        with contextlib.suppress(KeyError, TypeError):
            added[name] = [converted(row) for row in document[name]]
    return without_audits(document) | added


def _with_origin(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document that does not tell its origin as one of this schema, with empty derived members."""
    added: dict[str, Any] = {"schema": WITHOUT_ORIGIN + 1, "hosts": []} | origin_fields(None)
    added |= dict.fromkeys(("points_per_second", "points_per_second_per_core"))
    unknown = {"shards": origin_fields(None), "ranks": {"count_cpu_seconds": None, "core_share": None}}
    for name, members in unknown.items():
        with contextlib.suppress(KeyError, TypeError):
            added[name] = [row | members for row in document[name]]
    return {**document, **added}
