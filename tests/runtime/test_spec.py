"""What a model takes and gives: limits, and the way through JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import canonical
from runtime.errors import BundleCorruptError
from runtime.spec import (
    BatchRange,
    CenterCrop,
    ModelSpec,
    Pad,
    PadToSquare,
    Polarity,
    Preprocess,
    Resize,
    TensorSpec,
    classifier_spec,
)
from tests.tiny import make_spec

SIZES = st.integers(1, 65536)
MARGINS = st.integers(0, 65536)
FILLS = st.integers(0, 255)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
STEPS = st.one_of(
    st.builds(
        Resize, SIZES, SIZES, st.sampled_from(["exact", "shorter"]), st.sampled_from(["nearest", "area", "bicubic"])
    ),
    st.builds(CenterCrop, SIZES, SIZES),
    st.builds(Pad, MARGINS, MARGINS, MARGINS, MARGINS, FILLS),
    st.builds(PadToSquare, FILLS),
    st.builds(Polarity, st.sampled_from(["keep", "auto"])),
)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    color = draw(st.sampled_from(["gray", "rgb", "bgr"]))
    channels = 1 if color == "gray" else 3
    mean = draw(st.tuples(*[FLOATS] * channels))
    std = draw(st.tuples(*[st.floats(min_value=0, exclude_min=True, allow_infinity=False)] * channels))
    preprocess = Preprocess(color, tuple(draw(st.lists(STEPS, max_size=4))), mean, std)
    classes = draw(st.integers(1, 5))
    labels = draw(st.just(()) | st.tuples(*[TEXT] * classes))
    kind = draw(st.sampled_from(["logits", "probabilities"]))
    spec = classifier_spec(
        draw(TEXT),
        height=draw(SIZES),
        width=draw(SIZES),
        classes=classes,
        preprocess=preprocess,
        labels=labels,
        output_kind=kind,
    )
    return msgspec.structs.replace(spec, reject_threshold=draw(st.none() | st.floats(0, 1)))


@given(specs())
def test_a_spec_goes_through_json_and_back(spec: ModelSpec) -> None:
    data = canonical.to_bytes(spec)
    assert canonical.from_bytes(data, ModelSpec, "spec", BundleCorruptError, "") == spec
    assert canonical.digest(spec) == canonical.digest(msgspec.convert(msgspec.to_builtins(spec), ModelSpec))


def test_a_classifier_has_the_toolkits_tensor_names() -> None:
    spec = make_spec()
    assert spec.inputs == (TensorSpec("image", "uint8", ("batch", 8, 8, 1)),)
    assert spec.output == TensorSpec("probabilities", "float32", ("batch", 4))
    assert (spec.classes, spec.image_shape) == (4, (8, 8, 1))
    assert spec.label(1) == "bee"
    assert make_spec(labels=()).label(1) == "1"


def test_values_are_immutable_and_hashable() -> None:
    spec = make_spec()
    with pytest.raises(AttributeError):
        spec.name = "other"  # type: ignore[misc]
    assert len({spec, make_spec()}) == 1


def changed(path: str, value: object) -> dict[str, Any]:
    """The spec's JSON with one value replaced; `path` is dotted, numbers index lists."""
    values: Any = msgspec.json.decode(msgspec.json.encode(make_spec()))
    *parents, last = path.split(".")
    inner = values
    for part in parents:
        inner = inner[int(part) if part.isdigit() else part]
    inner[int(last) if last.isdigit() else last] = value
    return dict(values)


@pytest.mark.parametrize(
    "path, value",
    [
        ("name", 3),
        ("unknown", 1),
        ("inputs", []),
        ("inputs.0.dtype", "float32"),
        ("inputs.0.shape", ["batch", 8, 8]),
        ("inputs.0.shape", ["batch", "height", 8, 1]),
        ("inputs.0.shape", ["batch", 8, 0, 1]),
        ("inputs.0.shape", ["batch", 8, 8, 3]),
        ("inputs.0.shape", ["batch", 8.5, 8, 1]),
        ("output.shape", ["batch"]),
        ("output.shape", ["batch", "classes"]),
        ("output.shape", ["batch", 0]),
        ("labels", ["a", "b"]),
        ("labels", ["a", "b", "c", 4]),
        ("output_kind", "boxes"),
        ("reject_threshold", 1.01),
        ("reject_threshold", -0.01),
        ("preprocess.color", "cmyk"),
        ("preprocess.color", "rgb"),
        ("preprocess.mean", []),
        ("preprocess.mean", [0.0, 0.0, 0.0]),
        ("preprocess.std", [0.0]),
        ("preprocess.std", [-1.0]),
        ("preprocess.std", [1.0, 1.0]),
        ("preprocess.steps", [{"op": "rotate"}]),
        ("preprocess.steps", [{"height": 1, "width": 1}]),
        ("preprocess.steps", [{"op": "resize", "height": 0, "width": 1}]),
        ("preprocess.steps", [{"op": "resize", "height": 65537, "width": 1}]),
        ("preprocess.steps", [{"op": "resize", "height": 1}]),
        ("preprocess.steps", [{"op": "resize", "height": 1, "width": 1, "mode": "longer"}]),
        ("preprocess.steps", [{"op": "resize", "height": 1, "width": 1, "interpolation": "lanczos"}]),
        ("preprocess.steps", [{"op": "pad", "top": -1, "bottom": 0, "left": 0, "right": 0}]),
        ("preprocess.steps", [{"op": "pad_to_square", "fill": 256}]),
        ("preprocess.steps", [{"op": "polarity", "mode": "flip"}]),
    ],
)
def test_a_value_out_of_range_is_refused(path: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(changed(path, value), ModelSpec)


def test_the_unchanged_spec_is_accepted() -> None:
    """The counterpart of the refusals above."""
    assert msgspec.convert(changed("name", "tiny"), ModelSpec) == make_spec()


def test_what_contradicts_itself_cannot_even_be_made() -> None:
    with pytest.raises(ValueError, match="3 labels for 4 classes"):
        make_spec(labels=("a", "b", "c"))
    with pytest.raises(ValueError, match="mean has 3 values"):
        Preprocess("gray", (), (0.0, 0.0, 0.0), (1.0,))
    with pytest.raises(ValueError, match="in order"):
        BatchRange(4, 2, 8)
    with pytest.raises(ValueError, match="in order"):
        BatchRange(1, 9, 8)


@pytest.mark.parametrize("values", [(0, 1, 2), (1, 1, 65537), (3, 2, 4), (1.5, 2, 3)])
def test_batch_sizes_out_of_order_or_range_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(dict(zip(("smallest", "best", "largest"), values, strict=True)), BatchRange)


def test_batch_sizes_are_shown_as_they_are_typed() -> None:
    assert str(BatchRange(1, 4, 32)) == "1:4:32"
