"""Small texts for people."""

from __future__ import annotations

import pytest

from runtime.text import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (2000, "2,000 frames")])
def test_one_is_no_several(number: int, text: str) -> None:
    assert counted(number, "frame") == text
