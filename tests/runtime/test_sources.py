"""Files, folders, patterns, archives and lists, whole and damaged ones."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from runtime.classification import ImageFile, ImageInput, Unreadable
from runtime.errors import DataError
from runtime.images import most_bytes
from runtime.sources import CHUNK, TAR_SUFFIXES, count_sources, find_sources, names_in

FILES = {"b.png": b"first", "sub/a.JPG": b"second", "sub/notes.txt": b"no picture", ".hidden.png": b"no"}
PICTURES = ["b.png", "sub/a.JPG"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "in"


def make_tar(path: Path, folder: Path) -> Path:
    kind = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".tbz2": "bz2", ".xz": "xz", ".txz": "xz"}.get(path.suffix, "")
    with tarfile.open(path, f"w:{kind}") as archive:  # type: ignore[call-overload]
        for name in FILES:
            archive.add(folder / name, name)
    return path


def make_zip(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder.png/", b"")
        for name in (*FILES, "__MACOSX/b.png"):
            archive.writestr(name, FILES.get(name, b"no"))
    return path


def found(*arguments: object, max_megapixels: float = 100) -> list[ImageInput]:
    return list(find_sources([str(argument) for argument in arguments], max_megapixels))


def test_a_folder_stands_for_its_pictures(folder: Path) -> None:
    assert found(folder) == [folder / name for name in PICTURES]
    assert count_sources([str(folder)]) == 2


def test_a_file_is_itself_be_it_there_or_not(folder: Path) -> None:
    names = [str(folder / name) for name in ("sub/notes.txt", "gone.png", "gone.zip")]
    assert found(*names) == names
    assert count_sources(names[:2]) == 2


@pytest.mark.parametrize("pattern, names", [("*.png", ["b.png"]), ("**/*.JPG", ["sub/a.JPG"]), ("s*", ["sub/a.JPG"])])
def test_a_pattern_stands_for_what_is_there_by_name(folder: Path, pattern: str, names: list[str]) -> None:
    assert [str(one) for one in found(folder / pattern)] == [str(folder / name) for name in names]
    assert count_sources([str(folder / pattern)]) == len(names)


def test_a_file_with_the_name_of_a_pattern_is_that_file(folder: Path) -> None:
    (folder / "[b].png").touch()
    assert found(folder / "[b].png") == [str(folder / "[b].png")]


def test_what_stands_for_nothing_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no images in .*empty"):
        found(tmp_path / "empty")
    with pytest.raises(DataError, match=r"nothing like .*\*\.webp"):
        next(find_sources([str(folder), str(folder / "*.webp")]))  # before the first image


def test_an_empty_folder_among_others_stands_for_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert len(found(tmp_path / "empty", folder)) == 2


@pytest.mark.parametrize("suffix", [".zip", *TAR_SUFFIXES])
def test_an_archive_stands_for_its_pictures_in_its_order(folder: Path, tmp_path: Path, suffix: str) -> None:
    path = (make_zip if suffix == ".zip" else make_tar)(tmp_path / f"a{suffix}", folder)
    assert found(path) == [ImageFile(f"{path}/{name}", FILES[name]) for name in PICTURES]
    assert count_sources([str(path)]) is None


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_an_archive_without_pictures_says_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    (tmp_path / "notes.txt").touch()
    if suffix == ".zip":
        zipfile.ZipFile(path, "w").close()
    else:
        tarfile.open(path, "w:gz" if suffix.endswith("gz") else "w").close()
    (one,) = found(path)
    assert isinstance(one, Unreadable) and one.error == f"no images in {path}"


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_an_archive_that_was_cut_off_says_so_behind_what_is_whole(
    folder: Path, tmp_path: Path, suffix: str, share: float
) -> None:
    (folder / "b.png").write_bytes(os.urandom(20_000))  # so that the middle is in it
    path = (make_zip if suffix == ".zip" else make_tar)(tmp_path / f"a{suffix}", folder)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    *_, last = found(path, folder / "b.png")[:-1]
    assert isinstance(last, Unreadable) and f"{path}" in last.error and last.hint


def test_a_damaged_member_of_a_zip_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in PICTURES:
            archive.writestr(name, FILES[name])
    path.write_bytes(path.read_bytes().replace(FILES["b.png"], b"XXXXX"))
    bad, good = found(path)
    assert isinstance(bad, Unreadable) and "b.png" in bad.error and "CRC" in bad.error
    assert good == ImageFile(f"{path}/sub/a.JPG", FILES["sub/a.JPG"])


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_member_that_is_too_large_is_not_read(tmp_path: Path, suffix: str) -> None:
    limit = most_bytes(1e-6)
    path = tmp_path / f"a{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb.png", "w") as file:
            for _ in range(limit // 1_000_000 + 1):
                file.write(bytes(1_000_000))
    else:
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("bomb.png")
            info.size = limit + 1
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    (one,) = found(path, max_megapixels=1e-6)
    assert isinstance(one, Unreadable) and "too many" in one.error


def head(kind: bytes, size: int, **pax: str) -> bytes:
    info = tarfile.TarInfo("a.png")
    info.type, info.size, info.pax_headers = kind, size, pax
    return info.tobuf(tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (head(tarfile.GNUTYPE_LONGNAME, 2 << 20) + bytes(2 << 20), "head of more than 1 MiB"),
        (head(tarfile.XHDTYPE, 2 << 20) + bytes(2 << 20), "head of more than 1 MiB"),
        (
            head(tarfile.REGTYPE, 4 << 20, **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})
            + b"9999999\n"
            + b"1\n" * (2 << 20),
            "head of more than 1 MiB",
        ),
        (head(tarfile.GNUTYPE_LONGNAME, 0) * 1500, "heads do not end"),
    ],
    ids=["long name", "attributes", "map of holes", "heads of heads"],
)
def test_a_head_takes_no_more_memory_than_an_honest_one(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(data + bytes(1024))
    (one,) = found(tmp_path / "a.tar")
    assert isinstance(one, Unreadable) and words in one.error


def test_names_of_members_may_be_long(tmp_path: Path) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as tar:
            tar.addfile(tarfile.TarInfo("x" * 9_000 + ".png"), io.BytesIO())
        assert found(tmp_path / "a.tar") == [ImageFile(f"{tmp_path}/a.tar/{'x' * 9_000}.png", b"")]


def test_members_of_an_archive_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(5):
            tar.addfile(tarfile.TarInfo(f"{number}.png"), io.BytesIO())
    opened: list[tarfile.TarFile] = []
    open_tar = tarfile.open

    def remember(*arguments: Any, **options: Any) -> tarfile.TarFile:
        opened.append(open_tar(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(tarfile, "open", remember)
    assert [len(opened[0].members) for _ in find_sources([str(tmp_path / "a.tar")])] == [0] * 5


def test_names_of_members_are_text_whatever_bytes_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo(os.fsdecode(b"\xff.png")), io.BytesIO())
    assert found(path) == [ImageFile(f"{path}/\ufffd.png", b"")]


@pytest.mark.parametrize(
    "text, names",
    [
        (b"", []),
        (b"a.png\nb c.png\r\n\n d.png\n", ["a.png", "b c.png", " d.png"]),
        (b"a.png\nlast.png", ["a.png", "last.png"]),
        (b"a\nb.png\0c.png\0", ["a\nb.png", "c.png"]),
        (b"\xff.png\n", [os.fsdecode(b"\xff.png")]),
    ],
)
def test_names_in_a_list(text: bytes, names: list[str]) -> None:
    assert list(names_in(io.BytesIO(text))) == names


def test_a_long_list_is_read_in_pieces() -> None:
    names = [f"{number:09d}.png" for number in range(3 * CHUNK // 10)]
    assert list(names_in(io.BytesIO("\n".join(names).encode()))) == names


def test_names_in_a_list_are_no_patterns(folder: Path) -> None:
    assert list(find_sources(["*.png"], patterns=False)) == ["*.png"]
