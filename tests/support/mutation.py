"""Hypothesis strategies for damaged and forged files."""

import contextlib
import copy
import json
from typing import Any

from hypothesis import strategies as st

from mpi_pi.bench.median import MedianCI
from mpi_pi.storage import json_document


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw the content with some bytes changed, lost, added, doubled or cut off; perhaps none."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(start + 40, len(data))))
        kind = draw(st.sampled_from(["digit", "bytes", "lost", "doubled", "cut"]))
        if kind == "digit":
            digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
            if digits:
                data[draw(st.sampled_from(digits))] = ord(draw(st.sampled_from("0123456789")))
        elif kind == "bytes":
            data[start:stop] = draw(st.binary(max_size=8))
        elif kind == "lost":
            del data[start:stop]
        elif kind == "doubled":
            data[start:start] = data[start:stop]
        else:
            del data[start:]
    return bytes(data)


extremes = st.sampled_from([1e308, 5e-324, 10**400, 10**4000, 2**127, 1.5, -1, -0.0, "3.7", "٣"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**25) | st.floats() | st.text(max_size=5) | extremes,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def forged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw the document with values changed, or members lost, and a right checksum."""
    document = json.loads(content)
    del document["checksum"]
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        place: Any = changed
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.integers(0, 3)):
                place = place[key]
                continue
            kind = draw(st.integers(0, 2))
            if kind == 0:
                place[key] = draw(anything)
            elif kind == 1:
                place[key] = draw(extremes)
            else:
                del place[key]
            break
    return json_document.dumps(changed).encode()


numbers = st.sampled_from([0, 1, -1.0, 1e-12, 1e18, -1e18, 0.5, 3]) | st.floats(-1e18, 1e18)
counts = st.sampled_from([0, 1, 2, 7, 2**31 - 1, 2**58, 2**64])
texts = st.sampled_from(
    ["", "\ud800", "caf\udce9", "$x^2$", "a\nb = c", "\x1b[2J", "<b>", "ü" * 2000, "%s {}"]
)


@st.composite
def twisted(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw the document with other values of the types as before, and right medians and checksum."""
    document = json.loads(content)
    del document["checksum"]
    for _ in range(draw(st.integers(1, 3))):
        place: Any = document
        while isinstance(place, dict | list) and place:
            above, key = (
                place,
                draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place)))),
            )
            place = place[key]
        if isinstance(place, bool):
            above[key] = not place
        elif isinstance(place, str):
            above[key] = draw(texts)
        elif isinstance(above, list) and len(above) > 1 and draw(st.booleans()):
            del above[key]
        else:
            above[key] = draw(counts if isinstance(place, int) else numbers | st.none())
    _mend_spreads(document)
    return json_document.dumps(document).encode()


def _mend_spreads(value: Any) -> None:
    if isinstance(value, dict) and isinstance(value.get("samples"), list) and value["samples"]:
        with contextlib.suppress(TypeError):
            value |= MedianCI.of(value["samples"]).as_fields()
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            _mend_spreads(member)
