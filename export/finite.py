"""NaN and infinity in a graph from elsewhere: in its weights, or in what it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from export.describe import described, shown
from export.graph import producers
from export.names import WEIGHTED
from export.reference import open_reference
from export.skeleton import infer
from runtime.errors import ModelError

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
AT_ONCE = 16  # tensors whose values are held together


def require_finite_weights(path: Path, model: onnx.ModelProto) -> None:
    """Refuse weights that hold NaN, or infinity where they are multiplied with; a mask or a limit may be infinite.

    Raises:
        ModelError: there is one; it is named, with its node.
    """
    users = {name: node for node in model.graph.node for name in node.input}
    for tensor in model.graph.initializer:
        if tensor.data_type not in FLOATS:
            continue
        values, user = numpy_helper.to_array(tensor), users.get(tensor.name)
        bad = "NaN" if np.isnan(values).any() else ""
        if user is not None and user.op_type in WEIGHTED and not np.isfinite(values).all():
            bad = bad or "infinity"
        if bad:
            of = f" of {described(user)}" if user is not None else ""
            raise ModelError(f"{path}: the weight {shown(tensor.name)}{of} holds {bad}", "export it from sound weights")


def require_finite_answers(
    path: Path, model: onnx.ModelProto, images: NDArray[np.float32], answers: NDArray[np.float32]
) -> None:
    """Refuse answers that are NaN or infinite, and name the node where that begins.

    Args:
        path: of its file, for the message.
        model: in the form of our own exports.
        images: float32 (N, C, H, W).
        answers: to them.

    Raises:
        ModelError: they are not finite.
    """
    if np.isfinite(answers).all():
        return
    node = first_not_finite(model, images)
    where = described(node) if node is not None else "it"
    raise ModelError(
        f"{path}: {where} gives NaN or infinity for two images of noise", "check --mean, --std and weights"
    )


def first_not_finite(model: onnx.ModelProto, images: NDArray[np.float32]) -> onnx.NodeProto | None:
    """The first node that makes NaN or infinity; None where that cannot be found out."""
    try:
        kinds = {name: found.elem_type for name, found in infer(model).items()}
        makers = producers(model.graph)
        names = [name for name in makers if kinds.get(name) == TensorProto.FLOAT]
        for start in range(0, len(names), AT_ONCE):
            session = open_reference(model, names[start : start + AT_ONCE])
            found = session.run(None, {session.get_inputs()[0].name: images})
            for name, values in zip(names[start:], found, strict=False):
                if not np.isfinite(values).all():
                    return makers[name]
    except Exception:  # the graph runs as a whole; with other outputs it need not
        return None
    return None
