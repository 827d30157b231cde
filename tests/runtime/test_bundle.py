"""A bundle that is written can be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec import structs

from runtime import open_session
from runtime.bundle import Bundle, write_bundle
from runtime.errors import BundleError
from runtime.folder import draft
from runtime.manifest import LayerEntry, ProbeResult
from runtime.spec import Preprocess, Resize
from tests.tiny import (
    CLASSES,
    LABELS,
    SIDE,
    expected_answers,
    make_images,
    make_manifest,
    make_probe,
    make_spec,
    write_model,
    write_tiny_bundle,
)


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    spec = make_spec()
    layer = LayerEntry("fc", 256, "int8", "unknown", "nobody tells: naïve “quotes”")
    manifest = make_manifest(
        spec,
        precision="int8",
        target="openvino",
        layers=(layer,),
        fingerprint={"os": "linux"},
        probe=ProbeResult(0.1, 1e-7, "ran"),
    )
    with draft(tmp_path / "bundle", force=False) as folder:
        write_model(folder.path / "model.onnx")
        model = (folder.path / "model.onnx").read_bytes()
        probe = make_probe(folder.path / "model.onnx")
        probe.write(folder.path / "probe.npz")
        write_bundle(folder, manifest)
    read = Bundle.open(tmp_path / "bundle")
    assert read.spec == spec
    assert structs.replace(read.manifest, files={}, digest="", spec=spec) == manifest
    assert sorted(read.manifest.files) == ["labels.txt", "model.onnx", "probe.npz"]
    assert read.model_path.read_bytes() == model
    for name in ("images", "expected", "fp32"):
        np.testing.assert_array_equal(getattr(read.probe, name), getattr(probe, name))
    assert os.listdir(tmp_path) == ["bundle"]


def test_labels_are_in_their_file_alone(tiny_bundle: Path) -> None:
    assert (tiny_bundle / "labels.txt").read_text(encoding="utf-8") == "".join(f"{label}\n" for label in LABELS)
    assert json.loads((tiny_bundle / "manifest.json").read_bytes())["spec"]["labels"] == []
    assert Bundle.open(tiny_bundle).spec.labels == LABELS


def test_a_bundle_without_labels_has_no_file_for_them(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "bundle", spec=make_spec(labels=()))
    assert not (folder / "labels.txt").exists()
    assert Bundle.open(folder).spec.labels == ()
    assert Bundle.open(folder).spec.label(2) == "2"


@pytest.mark.parametrize("labels", [("a b", "", " c ", "\u2028"), ("", "", "", ""), ("\x0b", "\x85", "x", "\t")])
def test_odd_labels_come_back_as_they_were(tmp_path: Path, labels: tuple[str, ...]) -> None:
    assert Bundle.open(write_tiny_bundle(tmp_path / "bundle", spec=make_spec(labels=labels))).spec.labels == labels


@pytest.mark.parametrize("label", ["two\nlines", "two\rlines", "end\r"])
def test_a_label_with_a_line_break_is_refused_before_anything_is_published(tmp_path: Path, label: str) -> None:
    with pytest.raises(BundleError, match="line break"):
        write_tiny_bundle(tmp_path / "bundle", spec=make_spec(labels=(label, "b", "c", "d")))
    assert os.listdir(tmp_path) == []


def test_whole_numbers_in_place_of_floats_can_be_read_back(tmp_path: Path) -> None:
    preprocess = Preprocess("gray", (Resize(SIDE, SIDE),), (0,), (1,))
    folder = write_tiny_bundle(tmp_path / "bundle", spec=make_spec(preprocess=preprocess), probe=ProbeResult(1, 0))
    assert Bundle.open(folder).spec.preprocess == preprocess


def test_what_could_not_be_read_back_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(msgspec.ValidationError):
        write_tiny_bundle(tmp_path / "bundle", threads=-1)
    with pytest.raises((ValueError, msgspec.ValidationError)):  # msgspec 0.19 refuses NaN by itself
        write_tiny_bundle(tmp_path / "bundle", probe=ProbeResult(0.01, float("nan")))
    assert os.listdir(tmp_path) == []


def test_equal_bundles_have_equal_bytes(tiny_bundle: Path, tmp_path: Path) -> None:
    again = write_tiny_bundle(tmp_path / "again")
    assert {file.name: file.read_bytes() for file in again.iterdir()} == {
        file.name: file.read_bytes() for file in tiny_bundle.iterdir()
    }


def test_a_bundle_opens_through_a_link_to_its_parent_and_answers(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tiny_bundle.parent)
    images = make_images(2)
    with open_session(tmp_path / "link" / tiny_bundle.name, threads=1) as session:
        np.testing.assert_allclose(session.run(images), expected_answers(images), atol=1e-5)


def test_a_read_only_bundle_opens_and_nothing_is_written_into_it(tiny_bundle_copy: Path) -> None:
    for file in tiny_bundle_copy.iterdir():
        file.chmod(0o444)
    tiny_bundle_copy.chmod(0o555)
    try:
        before = sorted(os.listdir(tiny_bundle_copy))
        with open_session(str(tiny_bundle_copy), self_check=True, threads=1) as session:
            assert session.run(make_images(1)).shape == (1, CLASSES)
        assert sorted(os.listdir(tiny_bundle_copy)) == before
    finally:
        tiny_bundle_copy.chmod(0o755)


def test_a_file_that_the_manifest_does_not_name_changes_nothing(tiny_bundle_copy: Path) -> None:
    (tiny_bundle_copy / ".DS_Store").write_bytes(b"junk")
    assert Bundle.open(tiny_bundle_copy).spec.labels == LABELS
