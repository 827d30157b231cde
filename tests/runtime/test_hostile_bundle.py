"""A bundle that somebody damaged or forged, digest and all: refused with a hint, or it runs. Nothing else happens."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import open_session
from runtime.bundle import Bundle, write_bundle
from runtime.errors import BundleCorruptError, BundleError, SelfCheckError, ToolkitError
from runtime.folder import draft
from runtime.manifest import Accuracy, Latency
from runtime.probe import Probe
from tests.hostile.forgeries import forgeries, put
from tests.tiny import (
    CLASSES,
    LABELS,
    SIDE,
    make_images,
    make_manifest,
    make_spec,
    reseal,
    reseal_file,
    write_model,
    write_tiny_bundle,
)

FILES = ("manifest.json", "model.onnx", "probe.npz", "labels.txt")
BACKENDS = ("onnxruntime", "openvino")


def refused(folder: Path, *words: str) -> str:
    """Opening fails with a hint and a message that holds `words`; the message is returned."""
    with pytest.raises(BundleCorruptError) as caught:
        Bundle.open(folder)
    assert caught.value.hint
    for word in words:
        assert word in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("name", FILES)
def test_a_change_of_any_byte_is_refused(tiny_bundle_copy: Path, name: str) -> None:
    whole = (tiny_bundle_copy / name).read_bytes()
    descriptor = os.open(tiny_bundle_copy / name, os.O_WRONLY)
    try:
        for index, byte in enumerate(whole):
            os.pwrite(descriptor, bytes([byte ^ (1 << index % 8)]), index)
            refused(tiny_bundle_copy, name)
            os.pwrite(descriptor, bytes([byte]), index)
    finally:
        os.close(descriptor)
    Bundle.open(tiny_bundle_copy)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_anywhere_is_refused(tiny_bundle_copy: Path, name: str) -> None:
    path = tiny_bundle_copy / name
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        refused(tiny_bundle_copy, name)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_doubled_is_refused(tiny_bundle_copy: Path, name: str) -> None:
    (tiny_bundle_copy / name).write_bytes((tiny_bundle_copy / name).read_bytes() * 2)
    refused(tiny_bundle_copy, name)


@pytest.mark.parametrize("kind", ["device", "socket"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_refused_at_once(
    tiny_bundle_copy: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_bundle_copy / name
    path.unlink()
    with suppress(PermissionError):  # only root may make devices; a socket stands for them elsewhere
        if kind == "device":
            os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero, which has no end
    if not path.exists():
        monkeypatch.chdir(tiny_bundle_copy)  # the name of a socket must be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)
    refused(tiny_bundle_copy, name, "not a regular file")


@pytest.mark.parametrize("name", FILES)
def test_a_hard_link_is_as_good_as_a_copy(tiny_bundle_copy: Path, name: str) -> None:
    os.link(tiny_bundle_copy / name, tiny_bundle_copy.parent / name)
    assert Bundle.open(tiny_bundle_copy).spec.labels == LABELS


def test_a_file_under_a_second_name_is_no_part_of_the_bundle(tiny_bundle_copy: Path) -> None:
    for name in FILES:
        shutil.copy(tiny_bundle_copy / name, tiny_bundle_copy / f"copy of {name}")
    assert sorted(Bundle.open(tiny_bundle_copy).manifest.files) == sorted(FILES[1:])


@pytest.mark.parametrize("name", FILES[:3])
def test_one_file_of_another_bundle_is_refused(tiny_bundle_copy: Path, tmp_path: Path, name: str) -> None:
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    shutil.copy(other / name, tiny_bundle_copy / name)
    refused(tiny_bundle_copy)


def test_a_forged_model_of_another_bundle_fails_the_probe(tiny_bundle_copy: Path, tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    reseal_file(tiny_bundle_copy, "model.onnx", (other / "model.onnx").read_bytes())
    with open_session(tiny_bundle_copy, threads=1) as session:
        session.run(make_images(1))
    with pytest.raises(SelfCheckError):
        open_session(tiny_bundle_copy, threads=1, self_check=True)


@pytest.mark.parametrize(
    "name",
    [
        "model\uff0eonnx",
        "m\u043edel.onnx",
        "\u202exnno.ledom",
        "\x1b[2Jmodel.onnx",
        "line\nbreak",
        "\x7f",
        "~",
        "$HOME",
    ],
)
def test_a_name_that_only_looks_like_a_file_is_refused(tiny_bundle_copy: Path, name: str) -> None:
    entry = json.loads((tiny_bundle_copy / "manifest.json").read_bytes())["files"]["model.onnx"]
    reseal(tiny_bundle_copy, lambda values: values["files"].update({name: entry}))
    assert "\x1b" not in refused(tiny_bundle_copy)


def test_whatever_is_wrong_in_a_forged_manifest_it_is_refused_or_the_bundle_runs(tmp_path: Path) -> None:
    folder = write_tiny_bundle(
        tmp_path / "bundle",
        accuracy=Accuracy(99.0, 99.1, 0.1, 99.9, 1000, "onnxruntime"),
        latency_ms=Latency(0.1, 0.2, 0.3),
        calibration_digest="0" * 64,
        fingerprint={"os": "linux"},
    )
    images, outcomes = make_images(3), {"refused": 0, "runs": 0}
    for what, forged in forgeries(json.loads((folder / "manifest.json").read_bytes())):
        if what.startswith("digest"):
            continue  # it is set again below
        try:
            reseal(folder, lambda values, forged=forged: (values.clear(), values.update(forged)))
            with open_session(folder, threads=1) as session:
                answers = session.run(images)
                session.preprocess(images[0, :, :, 0])
                session.spec.label(CLASSES - 1)
            assert answers.shape == (3, CLASSES), what
            outcomes["runs"] += 1
        except ToolkitError as error:
            assert error.hint, what
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(what) from error
    assert min(outcomes.values()) > 100, outcomes


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 0),
        (("spec", "output", "dtype"), "int64"),
        (("spec", "output", "shape"), ["batch", CLASSES + 1]),
        (("spec", "inputs", 0, "shape"), ["", SIDE, SIDE, 1]),
        (("spec", "inputs", 0, "shape"), [-1, SIDE, SIDE, 1]),
        (("spec", "preprocess", "std"), [0.0]),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tiny_bundle_copy: Path, path: Any, value: Any) -> None:
    """The walk above would take for right whatever runs."""
    reseal(tiny_bundle_copy, lambda values: put(values, path, value))
    refused(tiny_bundle_copy)


@pytest.mark.parametrize(
    "text",
    ["\ufeffant\nbee\ncow\ndog\n", "ant\r\nbee\r\ncow\r\ndog\r\n", "ant\nbee\ncow\ndog", "", "\n\n\n", "\n\n\n\n\n"],
)
def test_labels_in_another_form_are_refused(tiny_bundle_copy: Path, text: str) -> None:
    reseal_file(tiny_bundle_copy, "labels.txt", text.encode())
    refused(tiny_bundle_copy, "labels.txt")


def test_a_label_with_a_byte_order_mark_is_not_written_in_the_first_place(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="byte order mark"):
        write_tiny_bundle(tmp_path / "bundle", spec=make_spec(labels=("\ufeffa", "b", "c", "d")))
    assert os.listdir(tmp_path) == []


IMAGES = make_images(4)
ANSWERS = np.full((4, CLASSES), 0.25, np.float32)


def archive(header: str | None = None, *, compress: bool = False, **changes: Any) -> bytes:
    """A probe, with some of its arrays replaced, or with this text as the header of its images."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as made:
        for name, array in {"images": IMAGES, "expected": ANSWERS, "fp32": ANSWERS, **changes}.items():
            content = io.BytesIO()
            np.save(content, array)
            if name == "images" and header is not None:
                content = io.BytesIO(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
            made.writestr(f"{name}.npy", content.getvalue())
    return file.getvalue()


def header_of(shape: str, dtype: str = "'|u1'") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}\n"


def test_the_forger_of_probes_is_believed_when_nothing_is_wrong(tiny_bundle_copy: Path) -> None:
    reseal_file(tiny_bundle_copy, "probe.npz", archive())
    np.testing.assert_array_equal(Bundle.open(tiny_bundle_copy).probe.images, IMAGES)


@pytest.mark.parametrize(
    "data",
    [
        archive(compress=True),
        archive(header_of("(10000000000, 8, 8, 1)")),  # 640 GB
        archive(header_of("(10000000000000000000000000, 8, 8, 1)")),
        archive(header_of("(-4, 8, 8, 1)")),
        archive(header_of("(True, 8, 8, 1)")),
        archive(header_of("(4, 8, 8, 1)", "'|O'")),
        archive(header_of("(4, 8, 8, 1)", "[('a', '|u1')]")),
        archive(header_of("(4,)", "'|S2000000000'")),
        archive("(" * 9000),
        archive("-" * 9000 + "1"),
        archive("{"),
        archive("\\"),
        archive(""),
        *(archive(expected=np.where(np.eye(4, dtype=bool), value, ANSWERS)) for value in (np.nan, np.inf, -0.1, 2.0)),
        archive(fp32=ANSWERS - np.float32("nan")),
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_a_probe_that_was_made_up_is_refused_without_the_memory_it_asks_for(
    tiny_bundle_copy: Path, data: bytes
) -> None:
    reseal_file(tiny_bundle_copy, "probe.npz", data)
    refused(tiny_bundle_copy, "probe.npz")


def test_a_probe_with_any_byte_changed_and_sealed_again_is_refused_or_fits(tiny_bundle: Path, tmp_path: Path) -> None:
    whole, path = (tiny_bundle / "probe.npz").read_bytes(), tmp_path / "probe.npz"
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ (1 << index % 8)]) + whole[index + 1 :])
        try:
            assert Probe.read(path, make_spec()).expected.shape == (4, CLASSES)
        except BundleCorruptError as error:
            assert error.hint


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 0x7F | 0x80, value >> 7])


def field(number: int, *values: bytes | str | int) -> bytes:
    """One field of a protobuf message: a number, or bytes, which may be a message themselves."""
    if isinstance(values[0], int):
        return varint(number << 3) + varint(values[0])
    content = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
    return varint(number << 3 | 2) + varint(len(content)) + content


def external(location: str) -> bytes:
    """A tensor of four floats that are in another file."""
    entries = [("location", location), ("offset", "0"), ("length", "16")]
    places = [field(13, field(1, key), field(2, value)) for key, value in entries]
    return b"".join([field(1, 4), field(2, 1), field(8, "stolen"), *places, field(14, 1)])


def attribute(number: int, content: bytes) -> bytes:
    return field(5, field(1, "value"), field(number, content))


# Behind a model, this becomes part of its graph: a tensor from elsewhere, and an output that shows it.
SHOW = field(1, field(1, "stolen"), field(2, "shown"), field(4, "Identity")) + field(12, field(1, "shown"))
PLACES = {
    "initializer": lambda tensor: field(7, field(5, tensor), SHOW),
    "constant": lambda tensor: field(7, field(1, field(2, "x"), field(4, "Constant"), attribute(5, tensor))),
    "constants": lambda tensor: field(7, field(1, attribute(10, tensor))),
    "subgraph": lambda tensor: field(7, field(1, attribute(6, field(5, tensor)))),
    "deep subgraph": lambda tensor: field(7, field(1, attribute(11, field(1, attribute(6, field(5, tensor)))))),
    "sparse": lambda tensor: field(7, field(15, field(1, tensor))),
    "function": lambda tensor: field(25, field(7, attribute(5, tensor))),
    "training": lambda tensor: field(20, field(1, field(5, tensor))),
    "long field number": lambda tensor: b"\xba\x80\x80\x80\x70" + field(7, field(5, tensor))[1:],
    "only its place": lambda tensor: field(7, field(5, field(14, 1))),
    "only its file": lambda tensor: field(7, field(5, field(13, field(1, "location"), field(2, "secret")))),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["../secret", "secret", "labels.txt", "../../../../../../etc/passwd"])
def test_a_model_that_keeps_values_in_another_file_is_refused(
    tiny_bundle_copy: Path, place: str, location: str
) -> None:
    for folder in (tiny_bundle_copy, tiny_bundle_copy.parent):
        (folder / "secret").write_bytes(b"secret" * 100)
    whole = (tiny_bundle_copy / "model.onnx").read_bytes()
    reseal_file(tiny_bundle_copy, "model.onnx", whole + PLACES[place](external(location)))
    refused(tiny_bundle_copy, "model.onnx", "not an ONNX file" if place == "long field number" else "another file")


@pytest.mark.parametrize("operator", ["Loop", "Scan"])
@pytest.mark.parametrize("where", ["graph", "subgraph", "function"])
def test_a_model_that_might_never_end_is_refused(tiny_bundle_copy: Path, operator: str, where: str) -> None:
    node = field(1, field(2, "x"), field(4, operator))
    inside = {"graph": field(7, node), "subgraph": field(7, field(1, attribute(6, node)))}
    more = inside.get(where, field(25, field(7, field(2, "x"), field(4, operator))))
    reseal_file(tiny_bundle_copy, "model.onnx", (tiny_bundle_copy / "model.onnx").read_bytes() + more)
    refused(tiny_bundle_copy, "model.onnx", operator, "never end")


def test_a_model_that_holds_everything_itself_is_let_in(tiny_bundle_copy: Path) -> None:
    """The counterpart: the same tensor with its values, and numbers that say that they are inside."""
    tensor = field(1, 4) + field(2, 1) + field(8, "stolen") + field(9, bytes(16)) + field(14, 0)
    whole = (tiny_bundle_copy / "model.onnx").read_bytes()
    reseal_file(tiny_bundle_copy, "model.onnx", whole + field(7, field(5, tensor)))
    with open_session(tiny_bundle_copy, threads=1, self_check=True) as session:
        assert session.run(make_images(1)).shape == (1, CLASSES)


@pytest.mark.parametrize(
    "data",
    [b"", b"not a model", b"\x3a", b"\x3a\x05abc", b"\x08" + b"\x80" * 20, b"\x00\x00", b"\x0d\x00", b"<?xml", b"\x0b"],
)
def test_a_model_that_is_no_onnx_file_is_refused(tiny_bundle_copy: Path, data: bytes) -> None:
    reseal_file(tiny_bundle_copy, "model.onnx", data)
    refused(tiny_bundle_copy, "model.onnx")


def test_a_model_with_external_data_is_not_written_in_the_first_place(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="another file"), draft(tmp_path / "bundle", force=False) as folder:
        write_model(folder.path / "model.onnx")
        with (folder.path / "model.onnx").open("ab") as file:
            file.write(PLACES["initializer"](external("weights.bin")))
        write_bundle(folder, make_manifest(make_spec()))
    assert os.listdir(tmp_path) == []
