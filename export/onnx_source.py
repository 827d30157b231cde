"""An ONNX file from elsewhere: read whole, or refused with what is wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from export.describe import shown
from export.finite import require_finite_weights
from export.graph import graphs_inside
from export.tensors import external_files, require_tensor
from export.validate import require_sound
from runtime.errors import ModelError, first_line
from runtime.lfs import refuse_pointer, start_of

LARGEST = (1 << 31) - 1  # bytes: protobuf's own limit


def read_onnx(path: Path, allow: Callable[[int], None] | None = None) -> onnx.ModelProto:
    """A model with its weights, those in files beside it included.

    Args:
        path: of the file.
        allow: told how many bytes it has on the disk, weights in other files included, before those are read.

    Raises:
        ModelError: it cannot be read, is no ONNX file, or keeps weights where it may not.
    """
    try:
        if not path.is_file() and path.exists():
            what = "a folder" if path.is_dir() else "no file"
            raise ModelError(f"{path} is {what}", "give an ONNX file")
        if not path.stat().st_size:
            raise ModelError(
                f"{path} is empty (0 bytes)", "it may have been cut off while it was copied: copy it again"
            )
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path} has {path.stat().st_size / 1e9:.1f} GB", "an ONNX file has at most 2 GB")
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}", "give an ONNX file") from error
    except DecodeError as error:
        refuse_pointer(start_of(path), path, ModelError)
        raise ModelError(
            f"{path} is not an ONNX file, it is cut off, or nested too deeply", "export it again"
        ) from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{path} has no nodes or no outputs", "export it again")
    model = without_functions(path, model)
    require_sound(path, model)
    for tensor in tensors_of(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            require_inside(path, tensor)
    if allow is not None:
        allow(bytes_on_disk(path, *(path.parent / name for name in external_files(model))))
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"cannot read the weights of {path}: {error}", "copy all of its files") from error
    require_finite_weights(path, model)
    return model


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
            node = nodes.pop()
            yield from (tensor for entry in node.attribute for tensor in (entry.t, *entry.tensors))
            graphs.extend(graphs_inside(node))


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


def bytes_on_disk(*files: Path) -> int:
    """What files take there, which is less than their size where they are mostly holes; what is no file counts 0."""
    total = 0
    for file in files:
        with suppress(OSError):
            total += 512 * file.stat().st_blocks
    return total


def require_inside(path: Path, tensor: onnx.TensorProto) -> None:
    """Refuse weights in a file that is not beside the model, or does not hold exactly what they need.

    Raises:
        ModelError: the file, the weight and the reason are named.
    """
    told = {entry.key: entry.value for entry in tensor.external_data}
    if not all(isinstance(text, str) for pair in told.items() for text in pair):
        raise ModelError(f"{path} keeps {shown(tensor.name)} in what is no text", "export it again")
    folder, location = path.parent.resolve(), told.get("location", "")
    where = f"{path} keeps {shown(tensor.name)} in {shown(location)}"
    try:
        file = (folder / location).resolve()
        inside = folder in file.parents and file.is_file()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, or links in a ring
        inside = False
    if not inside:
        raise ModelError(f"{where}, which is no file beside it", "copy all of its files, or export it into one")
    wanted = require_tensor(tensor, f"{path}: its weight {shown(tensor.name)}")
    try:
        offset, length = (int(told.get(key) or 0) for key in ("offset", "length"))
    except ValueError as error:
        raise ModelError(f"{where}, at no number: {told}"[:300], "export it again") from error
    size = file.stat().st_size
    refuse_pointer(start_of(file), f"{file} with the weights of {path}", ModelError)
    if offset < 0 or offset + wanted > size:
        raise ModelError(f"{file} is too short to hold {shown(tensor.name)} of {path}", "copy all of its files again")
    if not length and offset + wanted != size:
        raise ModelError(f"{file} holds more than {shown(tensor.name)} of {path}", "copy all of its files again")
