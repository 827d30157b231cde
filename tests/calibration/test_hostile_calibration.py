"""A calibration.json that somebody edited or damaged: refused with a hint, or read as it is written."""

from __future__ import annotations

import json
from pathlib import Path

from calibration.record import read_calibration
from runtime import canonical
from runtime.errors import DataError
from tests.hostile.forgeries import forgeries


def test_whatever_is_wrong_in_it_it_is_refused_or_read_as_it_is(lenet_bundle: Path, tmp_path: Path) -> None:
    valid = json.loads((lenet_bundle / "calibration.json").read_bytes())
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


def test_a_change_of_a_byte_anywhere_is_refused_or_read_as_it_is(lenet_bundle: Path, tmp_path: Path) -> None:
    whole, path = (lenet_bundle / "calibration.json").read_bytes(), tmp_path / "calibration.json"
    for index in range(0, len(whole), 5):
        changed = whole[:index] + bytes([whole[index] ^ (1 << index // 5 % 8)]) + whole[index + 1 :]
        path.write_bytes(changed)
        try:
            assert canonical.to_bytes(read_calibration(path)) == changed
        except DataError as error:
            assert error.hint
