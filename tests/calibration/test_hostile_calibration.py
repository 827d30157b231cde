"""A calibration.json that somebody edited or damaged: refused with a hint, or read as it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.record import read_calibration
from runtime import canonical
from runtime.errors import DataError
from tests.hostile.forgeries import forgeries


@pytest.fixture
def valid(lenet_bundle: Path) -> Any:
    """That of lenet, with a few of each layer's values: more of them are only more of the same."""
    return shortened(json.loads((lenet_bundle / "calibration.json").read_bytes()))


def shortened(value: Any) -> Any:
    """With the beginning of each list and text."""
    if isinstance(value, dict):
        return {key: shortened(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shortened(part) for part in value[:5]]
    return value[:100] if isinstance(value, str) else value


def test_whatever_is_wrong_in_it_it_is_refused_or_read_as_it_is(valid: Any, tmp_path: Path) -> None:
    path, outcomes = tmp_path / "calibration.json", {"refused": 0, "read": 0}
    for what, forged in forgeries(valid):
        data = canonical.to_bytes(forged)
        path.write_bytes(data)
        try:
            assert canonical.to_bytes(read_calibration(path)) == data, what
            outcomes["read"] += 1
        except DataError as error:
            assert error.hint and str(path) in error.message, what
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10, outcomes


def test_a_change_of_a_byte_anywhere_is_refused_or_read_as_it_is(valid: Any, tmp_path: Path) -> None:
    whole, path = canonical.to_bytes(valid), tmp_path / "calibration.json"
    for index in range(len(whole)):
        changed = whole[:index] + bytes([whole[index] ^ (1 << index % 8)]) + whole[index + 1 :]
        path.write_bytes(changed)
        try:
            assert canonical.to_bytes(read_calibration(path)) == changed
        except DataError as error:
            assert error.hint
