"""An ONNX file from elsewhere: read whole, or refused with what is wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from runtime.errors import ModelError, first_line

LARGEST = (1 << 31) - 1  # bytes: protobuf's own limit


def read_onnx(path: Path) -> onnx.ModelProto:
    """A model with its weights, those in files beside it included.

    Raises:
        ModelError: it cannot be read, is no ONNX file, or keeps weights where it may not.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path} has {path.stat().st_size / 1e9:.1f} GB", "an ONNX file has at most 2 GB")
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}", "give an ONNX file") from error
    except DecodeError as error:
        raise ModelError(f"{path} is not an ONNX file, or it is cut off", "export it again") from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{path} has no nodes or no outputs", "export it again")
    for tensor in tensors_of(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            require_inside(path, tensor)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"cannot read the weights of {path}: {error}", "copy all of its files") from error
    return without_functions(path, model)


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model, wherever it is: in branches of branches and in functions too."""
    graphs, nodes = [model.graph], [node for function in model.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            yield from (part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices))
            nodes.extend(graph.node)
        else:
            for entry in nodes.pop().attribute:
                yield from (entry.t, *entry.tensors)
                graphs.extend((*([entry.g] if entry.HasField("g") else []), *entry.graphs))


def without_functions(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with the nodes of each function where it is called.

    Raises:
        ModelError: that cannot be done.
    """
    if not model.functions:
        return model
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # the inliner raises plain RuntimeErrors
        raise ModelError(
            f"{path}: its functions ({model.functions[0].name}) cannot be inlined: {first_line(error)}",
            "export it with its functions inlined",
        ) from error


def require_inside(path: Path, tensor: onnx.TensorProto) -> None:
    """Refuse weights in a file that is not beside the model, or is shorter than they are."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    folder = path.parent.resolve()
    file = (folder / told.get("location", "")).resolve()
    if folder not in file.parents or not file.is_file():
        raise ModelError(
            f"{path} keeps '{tensor.name}' in {told.get('location')!r}, which is no file beside it",
            "copy all of its files, or export it into one",
        )
    offset, length = (int(told.get(key) or 0) for key in ("offset", "length"))
    if offset < 0 or length < 0 or offset + length > file.stat().st_size:
        raise ModelError(f"{file} is too short to hold '{tensor.name}' of {path}", "copy all of its files again")
