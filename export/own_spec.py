"""The spec inside an exported ONNX file: who builds from it need not say again how the model takes its images."""

from __future__ import annotations

from pathlib import Path

import msgspec
import onnx

from export.ends import shape_of, takes_pixels
from runtime.errors import ModelError
from runtime.spec import ModelSpec

KEY = "edge-deployment-toolkit.spec"


def with_own_spec(path: Path, spec: ModelSpec) -> bytes:
    """The file's bytes, with the spec as JSON in its metadata."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {KEY: msgspec.json.encode(spec, order="deterministic").decode()})
    return bytes(model.SerializeToString(deterministic=True))


def own_spec(model: onnx.ModelProto) -> ModelSpec | None:
    """The spec inside; None where there is none, or where the graph does not take such images (any longer).

    Raises:
        ModelError: what is there is no spec.
    """
    found = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    if found is None:
        return None
    try:
        spec = msgspec.json.decode(found, type=ModelSpec)
    except ValueError as error:  # msgspec's are ValueErrors
        raise ModelError(f"its metadata {KEY} are not a model's spec: {error}", "export it again") from error
    value = model.graph.input[0]
    return spec if takes_pixels(model) and shape_of(value)[1:] == spec.image_shape else None
