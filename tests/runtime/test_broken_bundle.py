"""A bundle opens whole or not at all: one that is damaged is refused, in words that name the file."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import open_session
from runtime.bundle import Bundle, is_bundle
from runtime.errors import BackendError, BundleCorruptError
from tests.tiny import (
    CLASSES,
    make_images,
    reseal,
    reseal_file,
)

FILES = ("manifest.json", "model.onnx", "probe.npz", "labels.txt")


def refused(folder: Path, *words: str) -> BundleCorruptError:
    """Opening fails with a hint and a message that holds `words`; a session is refused too."""
    with pytest.raises(BundleCorruptError) as caught:
        Bundle.open(folder)
    assert caught.value.hint
    for word in words:
        assert word in caught.value.message
    with pytest.raises(BundleCorruptError):
        open_session(folder)
    return caught.value


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(tiny_bundle_copy: Path, name: str) -> None:
    (tiny_bundle_copy / name).unlink()
    refused(tiny_bundle_copy, name)


def test_a_truncated_file_says_how_long_it_was(tiny_bundle_copy: Path) -> None:
    path = tiny_bundle_copy / "model.onnx"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:100])
    refused(tiny_bundle_copy, "100 bytes", str(size))


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_grew_is_refused(tiny_bundle_copy: Path, name: str) -> None:
    with (tiny_bundle_copy / name).open("ab") as file:
        file.write(b"\n")
    refused(tiny_bundle_copy, name)


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused_although_the_content_is_right(tiny_bundle_copy: Path, name: str) -> None:
    outside = tiny_bundle_copy.parent / name
    shutil.move(tiny_bundle_copy / name, outside)
    (tiny_bundle_copy / name).symlink_to(outside)
    refused(tiny_bundle_copy, name, "not a regular file")


@pytest.mark.parametrize("name", FILES)
def test_a_folder_or_a_pipe_in_place_of_a_file_is_refused_at_once(tiny_bundle_copy: Path, name: str) -> None:
    path = tiny_bundle_copy / name
    path.unlink()
    path.mkdir()
    refused(tiny_bundle_copy, name, "not a regular file")
    path.rmdir()
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    refused(tiny_bundle_copy, name, "not a regular file")


@pytest.mark.parametrize(
    "name",
    [
        "../outside.bin",
        "{absolute}",
        "sub/inside.bin",
        "sub\\inside.bin",
        "..",
        ".",
        "",
        "manifest.json",
        "nul\0",
        "a" * 300,
    ],
)
def test_a_manifest_that_names_what_is_not_in_its_folder_is_refused(tiny_bundle_copy: Path, name: str) -> None:
    outside = tiny_bundle_copy.parent / "outside.bin"
    (tiny_bundle_copy / "sub").mkdir()
    for path in (outside, tiny_bundle_copy / "sub" / "inside.bin", tiny_bundle_copy / "sub\\inside.bin"):
        path.write_bytes(b"content")
    entry = {"sha256": "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73", "size": 7}
    reseal(tiny_bundle_copy, lambda values: values["files"].update({name.format(absolute=outside): entry}))
    refused(tiny_bundle_copy)


def test_the_forger_of_these_tests_is_believed_when_nothing_is_wrong(tiny_bundle_copy: Path) -> None:
    """Else the tests that reseal a manifest would pass for the wrong reason."""
    (tiny_bundle_copy / "notes.txt").write_bytes(b"content")
    entry = {"sha256": "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73", "size": 7}
    reseal(tiny_bundle_copy, lambda values: values["files"].update({"notes.txt": entry}))
    assert "notes.txt" in Bundle.open(tiny_bundle_copy).manifest.files


def test_a_newer_schema_says_to_update_the_toolkit(tiny_bundle_copy: Path) -> None:
    def newer(values: dict[str, Any]) -> None:
        values["schema_version"] = 3
        values["something new"] = {"deep": [1]}

    reseal(tiny_bundle_copy, newer)
    error = refused(tiny_bundle_copy, "manifest.json", "version 3")
    assert "update the toolkit" in error.hint


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data.replace(b"  ", b"    "),
        lambda data: data.rstrip(b"\n"),
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: data.replace(b'"limit": 0.01', b'"limit": 1e-2'),
        lambda data: data.replace(b'"target": "onnxruntime"', b'"target": "\\u006fnnxruntime"'),
        lambda data: data.replace(b'  "threads": 1,', b'  "threads": 9,\n  "threads": 1,'),
        lambda data: data.replace(b'  "threads": 1,', b'  "threads": 1.0,'),
        lambda data: data.replace(b'  "threads": 1,', b'  "threads": 1,\n  "unknown": 1,'),
        lambda data: data.replace(b'"distance": 0.0', b'"distance": NaN'),
        lambda data: data.replace(b'"distance": 0.0', b'"distance": 1e999'),
        lambda data: data.replace(b'"target": "onnxruntime"', b'"target": "\xff"'),
        lambda data: b"[" * 100_000,
        lambda data: b'{"schema_version": 1, "x": ' + b"[" * 100_000,
        lambda data: b'{"schema_version": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        lambda data: b'{"schema_version": "1"}',
        lambda data: b'{"schema_version": 1}',
        lambda data: b'{"schema_version": -1}',
        lambda data: b'{"schema_version": 99999999999999999999999}',
        lambda data: b"null",
        lambda data: b"\0" * 100,
        lambda data: b"\xff\xfe",
    ],
    ids=lambda edit: "",
)
def test_a_manifest_in_another_form_is_refused(tiny_bundle_copy: Path, edit: Callable[[bytes], bytes]) -> None:
    path = tiny_bundle_copy / "manifest.json"
    data = path.read_bytes()
    assert edit(data) != data
    path.write_bytes(edit(data))
    refused(tiny_bundle_copy, "manifest.json")


def test_a_manifest_that_was_changed_does_not_match_its_digest(tiny_bundle_copy: Path) -> None:
    path = tiny_bundle_copy / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'  "threads": 1,', b'  "threads": 4,'))
    refused(tiny_bundle_copy, "manifest.json", "digest")


@pytest.mark.parametrize("name", ["model.onnx", "probe.npz"])
def test_a_manifest_that_does_not_name_a_required_file_is_refused(tiny_bundle_copy: Path, name: str) -> None:
    reseal(tiny_bundle_copy, lambda values: values["files"].pop(name))
    refused(tiny_bundle_copy, "manifest.json", name)


@pytest.mark.parametrize(
    "field, value",
    [
        ("precision", "int4"),
        ("threads", -1),
        ("batch", {"smallest": 4, "best": 1, "largest": 8}),
        ("batch", {"smallest": 0, "best": 1, "largest": 8}),
        ("calibration_digest", "abc"),
        ("files", {"model.onnx": {"sha256": "x", "size": 1}}),
        ("coverage", {"quantized": 0, "quantizable": 1, "macs_share": 1.5, "skipped": []}),
        ("probe", {"limit": 0.0, "distance": None, "reason": ""}),
        ("spec", None),
    ],
)
def test_a_manifest_with_a_value_out_of_range_is_refused(tiny_bundle_copy: Path, field: str, value: object) -> None:
    reseal(tiny_bundle_copy, lambda values: values.update({field: value}))
    refused(tiny_bundle_copy, "manifest.json")


def test_a_manifest_without_a_field_is_refused(tiny_bundle_copy: Path) -> None:
    reseal(tiny_bundle_copy, lambda values: values.pop("target"))
    refused(tiny_bundle_copy, "manifest.json", "target")


@pytest.mark.parametrize("data", [b"a\nb\nc\n", b"a\nb\nc\nd\ne\n", b"a\nb\nc\nd\n\n", b"\xff\nb\nc\nd\n"])
def test_labels_that_do_not_fit_the_classes_are_refused(tiny_bundle_copy: Path, data: bytes) -> None:
    reseal_file(tiny_bundle_copy, "labels.txt", data)
    refused(tiny_bundle_copy, "labels.txt")


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


IMAGES, ANSWERS = make_images(2), np.full((2, CLASSES), 0.25, np.float32)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a zip",
        npz(images=IMAGES, expected=ANSWERS, fp32=ANSWERS)[:-30],
        npz(images=IMAGES, expected=ANSWERS),
        npz(images=IMAGES, expected=ANSWERS, fp32=ANSWERS[:1]),
        npz(images=IMAGES, expected=ANSWERS.astype(np.float64), fp32=ANSWERS),
        npz(images=IMAGES[..., 0], expected=ANSWERS, fp32=ANSWERS),
        npz(images=IMAGES.astype(np.int8), expected=ANSWERS, fp32=ANSWERS),
        npz(images=IMAGES[:0], expected=ANSWERS[:0], fp32=ANSWERS[:0]),
        npz(images=np.uint8(1), expected=ANSWERS, fp32=ANSWERS),
        npz(images=np.array([{"a": 1}, None], dtype=object), expected=ANSWERS, fp32=ANSWERS),
        npy(IMAGES),
        b"\x80\x04N.",
    ],
    ids=lambda data: f"{len(data)}",
)
def test_a_probe_that_is_none_of_this_model_is_refused(tiny_bundle_copy: Path, data: bytes) -> None:
    reseal_file(tiny_bundle_copy, "probe.npz", data)
    refused(tiny_bundle_copy, "probe.npz")


def test_a_model_that_no_library_can_read_is_a_backend_error_although_the_digest_is_right(
    tiny_bundle_copy: Path, backend: str
) -> None:
    reseal_file(tiny_bundle_copy, "model.onnx", b"\x08\x0a")  # a version, and nothing else
    with pytest.raises(BackendError, match=r"model\.onnx"):
        open_session(tiny_bundle_copy, backend=backend)


@pytest.fixture(params=["onnxruntime", "openvino"])
def backend(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.mark.parametrize("what", ["file", "nothing", "empty folder", "below a file", "long name", "dangling link"])
def test_what_is_no_bundle_says_so(tmp_path: Path, what: str) -> None:
    path = tmp_path / ("x" * 300 if what == "long name" else "thing")
    if what == "file":
        path.write_bytes(b"{}")
    elif what == "empty folder":
        path.mkdir()
    elif what == "below a file":
        path.write_bytes(b"")
        path = path / "bundle"
    elif what == "dangling link":
        path.symlink_to(tmp_path / "gone")
    why = {"file": "it is a file", "empty folder": "it has no manifest.json"}.get(what, "no such folder")
    error = refused(path, str(path), f"is not a bundle: {why}")
    assert "toolkit build" in error.hint
    if what != "long name":
        assert not is_bundle(path)


def test_a_manifest_larger_than_the_limit_is_refused_without_reading_it(tiny_bundle_copy: Path) -> None:
    with (tiny_bundle_copy / "manifest.json").open("r+b") as file:
        file.truncate(1 << 40)
    refused(tiny_bundle_copy, "manifest.json")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_may_not_be_read_is_refused(
    tiny_bundle_copy: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Patched, since root may read everything."""
    opened = Path.open

    def guarded(file: Path, *arguments: Any, **options: Any) -> Any:
        if file.name == name:
            raise PermissionError(13, "Permission denied", str(file))
        return opened(file, *arguments, **options)

    monkeypatch.setattr(Path, "open", guarded)
    refused(tiny_bundle_copy, name, "Permission denied")
