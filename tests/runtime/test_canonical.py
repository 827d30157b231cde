"""JSON in one form: equal values, equal bytes."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from runtime import canonical
from runtime.errors import BundleCorruptError, DataError

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(SCALARS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


class Point(Struct, frozen=True, forbid_unknown_fields=True):
    y: float
    x: float
    name: str = ""


def read(data: bytes, kind: Any = Any) -> Any:
    return canonical.from_bytes(data, kind, "file.json", DataError, "write it again")


@given(VALUES)
def test_what_is_written_is_what_is_read(value: Any) -> None:
    data = canonical.to_bytes(value)
    assert read(data) == value
    assert json.loads(data) == value
    assert data.endswith(b"\n")
    assert canonical.to_bytes(read(data)) == data


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False), TEXT)
def test_a_struct_comes_back_bit_for_bit(x: float, y: float, name: str) -> None:
    back = read(canonical.to_bytes(Point(y, x, name)), Point)
    assert (back.x.hex(), back.y.hex(), back.name) == (x.hex(), y.hex(), name)


@given(st.dictionaries(TEXT, SCALARS, min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    shuffled = dict(reversed(value.items()))
    assert canonical.to_bytes(shuffled) == canonical.to_bytes(value)
    assert canonical.digest(shuffled) == canonical.digest(value)


def test_the_form_is_this() -> None:
    text = '{\n  "name": "é",\n  "x": 0.1,\n  "y": 1e-07\n}\n'
    assert canonical.to_bytes(Point(1e-7, 0.1, "é")) == text.encode()
    assert canonical.digest(Point(1e-7, 0.1, "é")) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "\ud800"])
def test_what_json_has_no_form_for_is_refused(value: Any) -> None:
    for holder in (value, [value], {"a": {"b": value}}):
        with pytest.raises(ValueError):
            canonical.to_bytes(holder)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"x": 1.0, "y": 2.0}\n',
        b'{\n  "y": 2.0,\n  "x": 1.0,\n  "name": ""\n}\n',
        b'{\n  "name": "",\n  "x": 1.0,\n  "y": 2.0\n}',
        b'{\n  "name": "",\n  "x": 1.0,\n  "y": 2.0\n}\n\n',
        b'{\n  "name": "",\n  "x": 1,\n  "y": 2.0\n}\n',
        b'{\n  "name": "",\n  "x": 1.00,\n  "y": 2.0\n}\n',
        b'{\n  "name": "",\n  "x": 9.0,\n  "x": 1.0,\n  "y": 2.0\n}\n',
        b'{\n  "name": "",\n  "x": NaN,\n  "y": 2.0\n}\n',
        b'{\n  "name": "\\u0061",\n  "x": 1.0,\n  "y": 2.0\n}\n',
        b'{\n  "name": "",\n  "x": 1.0,\n  "y": 2.0,\n  "z": 3.0\n}\n',
        b'{\n  "name": "\xff",\n  "x": 1.0,\n  "y": 2.0\n}\n',
        b"[" * 50_000 + b"]" * 50_000,
    ],
    ids=range(15),
)
def test_any_other_form_is_refused(data: bytes) -> None:
    with pytest.raises(BundleCorruptError, match=r"file\.json") as caught:
        canonical.from_bytes(data, Point, "file.json", BundleCorruptError, "write it again")
    assert caught.value.hint == "write it again"


def test_nesting_without_end_is_refused_for_any_type() -> None:
    with pytest.raises(DataError):
        read(b"[" * 50_000 + b"]" * 50_000)


def test_the_one_right_form_is_accepted() -> None:
    """The counterpart of the refusals above."""
    assert read(b'{\n  "name": "",\n  "x": 1.0,\n  "y": 2.0\n}\n', Point) == Point(2.0, 1.0)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(data[:size])
    assert canonical.digest_file(tmp_path / "file") == hashlib.sha256(data[:size]).hexdigest()
