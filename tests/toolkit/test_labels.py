"""Files that name classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import DataError
from toolkit.labels import read_labels


@pytest.mark.parametrize("data", [b"cat\ndog\n", b"\xef\xbb\xbfcat\r\n\r\ndog", b" cat \ndog"])
def test_a_name_a_line_whatever_the_editor_adds(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "labels.txt").write_bytes(data)
    assert read_labels(tmp_path / "labels.txt") == ("cat", "dog")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "two or more"),
        (b"cat\n", "two or more"),
        (b"crane\ncat\ncrane\n", "names the class 'crane' 2 times"),
        (b"\xff\xfec\x00", "cannot read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "labels.txt").write_bytes(data)
    with pytest.raises(DataError, match=r"labels\.txt") as caught:
        read_labels(tmp_path / "labels.txt")
    assert words in caught.value.message and caught.value.hint


def test_a_file_that_never_ends_is_not_read_to_its_end() -> None:
    with pytest.raises(DataError, match=r"cannot read the labels /dev/zero.*too large"):
        read_labels(Path("/dev/zero"))
