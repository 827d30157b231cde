"""Files that are no models, and weights in other files."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from tests.hostile.corpus.case import CASES, Case, base, file

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"4d7a" * 16)


@file("model.onnx is empty (0 bytes)")
def empty(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"")


@file("not an ONNX file")
def truncated(folder: Path) -> None:
    data = base().SerializeToString()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])


@file("not an ONNX file")
def random_bytes(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(np.random.default_rng(0).bytes(100_000))


@file("model.onnx is a pointer of Git LFS")
def pointer(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(POINTER)


@file("not an ONNX file")
def groups(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"\x0b" * 100_000)


@file("not an ONNX file")
def length_of_2_gb(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(base().SerializeToString() + b"\x3a\xff\xff\xff\xff\x07" + b"x" * 100)


@file("not an ONNX file")
def text_of_a_proto(folder: Path) -> None:
    (folder / "model.onnx").write_text(str(base()))


@file("not an ONNX file")
def zip_archive(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.onnx", "w") as archive:
        archive.writestr("model.onnx", base().SerializeToString())


@file("not an ONNX file")
def checkpoint(folder: Path) -> None:
    import torch

    torch.save({"weight": torch.zeros(10)}, folder / "model.onnx")


@file("is a folder")
def folder_of_that_name(folder: Path) -> None:
    (folder / "model.onnx").mkdir()


@file("is no file")
def pipe(folder: Path) -> None:
    os.mkfifo(folder / "model.onnx")


@file("No such file")
def link_to_nowhere(folder: Path) -> None:
    (folder / "model.onnx").symlink_to("nowhere")


@file("symbolic links")
def link_to_itself(folder: Path) -> None:
    (folder / "model.onnx").symlink_to("model.onnx")


@file("2 GB")
def hole_of_3_gb(folder: Path) -> None:
    with (folder / "model.onnx").open("wb") as hole:
        hole.truncate(3_000_000_000)


@file("model.onnx")
def hole_of_1_gb(folder: Path) -> None:
    with (folder / "model.onnx").open("wb") as hole:
        hole.write(base().SerializeToString())
        hole.truncate(1_000_000_000)


@file("is a folder")
def bundle_of_that_name(folder: Path) -> None:
    from tests.tiny import write_tiny_bundle

    shutil.copytree(write_tiny_bundle(folder / "tiny"), folder / "model.onnx")
    shutil.rmtree(folder / "tiny")


def outside(location: str, prepare: Callable[[Path], None] = lambda _: None, **more: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        model = base()
        weight = model.graph.initializer[0]
        (folder / "weights.bin").write_bytes(weight.raw_data)
        prepare(folder)
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            entry = weight.external_data.add()
            entry.key, entry.value = key, str(value)
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return make


def replace(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """Put something else in the place of the weights."""

    def prepare(folder: Path) -> None:
        (folder / "weights.bin").unlink()
        make(folder / "weights.bin")

    return prepare


EXTERNAL: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "absolute": (outside("/etc/passwd"), ("'conv_w'", "/etc/passwd", "no file beside it")),
    "up": (outside("../../../../../etc/passwd"), ("'conv_w'", "no file beside it")),
    "missing": (outside("elsewhere.bin"), ("'conv_w'", "no file beside it")),
    "link_out": (outside("weights.bin", replace(lambda p: p.symlink_to("/etc/passwd"))), ("no file beside it",)),
    "pointer_beside": (
        outside("weights.bin", replace(lambda p: p.write_bytes(POINTER) and None)),
        ("weights.bin with the weights of model.onnx is a pointer of Git LFS",),
    ),
    "pipe_beside": (outside("weights.bin", replace(os.mkfifo)), ("no file beside it",)),
    "folder_beside": (outside("weights.bin", replace(Path.mkdir)), ("no file beside it",)),
    "no_name": (outside(""), ("no file beside it",)),
    "nul": (outside("weights\0.bin"), ("'conv_w'",)),
    "long_name": (outside("x" * 100_000), ("'conv_w'",)),
    "offset_behind": (outside("weights.bin", offset=1 << 40), ("too short", "'conv_w'")),
    "offset_negative": (outside("weights.bin", offset=-8), ("'conv_w'",)),
    "length_short": (outside("weights.bin", length=4), ("'conv_w'", "108 values", "Conv_conv", "(Conv)")),
    "length_long": (outside("weights.bin", length=1 << 33), ("'conv_w'",)),
    "hole": (outside("weights.bin", replace(lambda p: p.touch() or os.truncate(p, 1 << 36))), ("'conv_w'",)),
    "itself": (outside("model.onnx"), ("'conv_w'", "short")),
}
for _name, (_make, _words) in EXTERNAL.items():
    CASES.append(Case(f"external_{_name}", _make, _words, ()))


@file("'conv_w'", "'offset': 'many'")
def external_words_for_numbers(folder: Path) -> None:
    outside("weights.bin", offset=0)(folder)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[1].value = "many"
    (folder / "model.onnx").write_bytes(model.SerializeToString())


@file()
def external_overlapping(folder: Path) -> None:
    outside("weights.bin")(folder)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    bias = model.graph.initializer[1]
    bias.ClearField("raw_data")
    bias.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights.bin", "offset": "8", "length": "16"}.items():
        bias.external_data.add(key=key, value=value)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


@file("claim 40.0 GB")
def external_overlapping_to_many_gb(folder: Path) -> None:
    """A file of 400 MB, most of it a hole, that is claimed a hundred times."""
    model = base()
    with (folder / "weights.bin").open("wb") as hole:
        hole.truncate(400_000_000)
    for index in range(100):
        tensor = model.graph.initializer.add(name=f"w{index}", data_type=1, dims=[100_000_000])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
