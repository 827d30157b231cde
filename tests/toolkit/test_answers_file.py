"""Answers in a file: their forms, and runs that ended early."""

from __future__ import annotations

import csv
import fcntl
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from runtime.classification import Answer, Classified, ImageInput, Unreadable
from runtime.errors import ToolkitError
from toolkit.answers_file import AnswersFile, Header, answers_file, require_writer

HEADER = Header("digest", 2)
ANSWERS = [
    Classified("a,b.png", (Answer(3, "bee", 0.75), Answer(0, "ant", 0.25)), None),
    Unreadable("ü\n.png", "it is empty", "copy it again"),
    Classified("c.png", (Answer(1, "cow", 1.0), Answer(0, "ant", 0.0)), True),
]
NAMES = [answer.image for answer in ANSWERS]


def write(output: Path, answers: list[Classified | Unreadable], *, resume: bool = False, force: bool = False) -> None:
    with answers_file(output, HEADER, resume=resume, force=force) as file:
        for answer in answers:
            file.append(answer)
        file.finish()


@pytest.fixture
def cut_off(tmp_path: Path) -> Path:
    """What a run left that was killed while it wrote the third answer."""
    output = tmp_path / "out.csv"
    with answers_file(output, HEADER, resume=False, force=False) as file:
        for answer in ANSWERS:
            file.append(answer)
    part = output.with_name("out.csv.part")
    part.write_bytes(part.read_bytes()[:-5])
    return output


def test_csv_has_a_row_each(tmp_path: Path) -> None:
    write(tmp_path / "out.csv", ANSWERS)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head[:3] == ["image", "error", "refused"]
    assert head[3:] == [f"{name}_{place}" for place in (1, 2) for name in ("index", "label", "probability")]
    assert rows == [
        ["a,b.png", "", "", "3", "bee", "0.75", "0", "ant", "0.25"],
        ["ü\n.png", "it is empty", "", "", "", "", "", "", ""],
        ["c.png", "", "true", "1", "cow", "1", "0", "ant", "0"],
    ]


def test_json_lines_are_those_of_json(tmp_path: Path) -> None:
    write(tmp_path / "out.jsonl", ANSWERS)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert lines == [msgspec.json.encode(answer) for answer in ANSWERS]


def test_parquet_has_a_row_each(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    many = ANSWERS * 1000  # more than a row group
    write(tmp_path / "out.parquet", many)
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    fields = msgspec.json.decode(msgspec.json.encode(many))
    assert rows == [{name: row.get(name) for name in ("image", "error", "refused", "top")} for row in fields]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_of_no_images_there_is_a_file_without_rows(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    write(tmp_path / f"out{suffix}", [])
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


def resumed(output: Path, images: list[str], *, header: Header = HEADER) -> tuple[list[ImageInput], AnswersFile]:
    with answers_file(output, header, resume=True, force=False) as file:
        return list(file.rest(images)), file


def test_a_run_that_ended_early_goes_on_after_the_last_whole_answer(cut_off: Path) -> None:
    rest, file = resumed(cut_off, NAMES)
    assert rest == NAMES[2:]
    assert (file.done, file.failed) == (2, 1)
    write(cut_off, ANSWERS[2:], resume=True)
    whole = cut_off.with_name("whole.csv")
    write(whole, ANSWERS)
    assert cut_off.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in cut_off.parent.iterdir()) == ["out.csv", "whole.csv"]


def test_resuming_what_never_began_is_a_whole_run(tmp_path: Path) -> None:
    rest, file = resumed(tmp_path / "out.csv", NAMES)
    assert (rest, file.done) == (NAMES, 0)


@pytest.mark.parametrize("images", [["a,b.png", "other.png"], ["a,b.png"], [], NAMES[::-1]])
def test_other_images_are_refused_and_nothing_is_lost(cut_off: Path, images: list[str]) -> None:
    with pytest.raises(ToolkitError, match=r"(?s)image \d was .* and now"):
        resumed(cut_off, images)
    assert resumed(cut_off, NAMES)[1].done == 2


@pytest.mark.parametrize("header", [Header("other", 2), Header("digest", 3)])
def test_other_settings_are_refused(cut_off: Path, header: Header) -> None:
    with pytest.raises(ToolkitError, match="another bundle, or another number of classes"):
        resumed(cut_off, NAMES, header=header)


def test_what_was_left_is_not_dropped_unless_that_is_said(cut_off: Path) -> None:
    with pytest.raises(ToolkitError, match="ended early") as caught:
        write(cut_off, ANSWERS)
    assert "--resume" in caught.value.hint and "--force" in caught.value.hint
    assert resumed(cut_off, NAMES)[1].done == 2
    write(cut_off, ANSWERS[:1], force=True)
    assert len(cut_off.read_text().splitlines()) == 2


@pytest.mark.parametrize("content", [b"no json\n", b'{"bundle":"digest","top":2}\n{"image":3}\n', b'{"bundle":1}\n'])
def test_a_damaged_part_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out.csv.part").write_bytes(content)
    with pytest.raises(ToolkitError, match=r"out\.csv\.part is damaged"):
        resumed(tmp_path / "out.csv", NAMES)
    assert (tmp_path / "out.csv.part").read_bytes() == content


def test_two_runs_do_not_write_the_same_file(cut_off: Path) -> None:
    with cut_off.with_name("out.csv.part").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ToolkitError, match="another run is writing"):
            resumed(cut_off, NAMES)


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match=r"none of the suffixes \.csv, \.jsonl, \.parquet"):
        require_writer(tmp_path / "out.xlsx")


def test_images_are_taken_one_by_one(cut_off: Path) -> None:
    def endless() -> Iterator[str]:
        yield from NAMES
        raise AssertionError("nobody asked for more")

    with answers_file(cut_off, HEADER, resume=True, force=False) as file:
        assert next(file.rest(endless())) == NAMES[2]
