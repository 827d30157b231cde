"""What a tensor in an ONNX file claims, counted without reading its values."""

from __future__ import annotations

import math

import onnx
from onnx import TensorProto, helper

from runtime.errors import ModelError

FEW = 1024  # elements of a constant that may be a shape
VALUES = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def require_tensor(tensor: onnx.TensorProto, where: str) -> int:
    """Refuse a tensor whose values are not as many as its shape says.

    Args:
        tensor: its values here, or in another file.
        where: what it is, for the message.

    Returns:
        Bytes of its values.

    Raises:
        ModelError: of an unknown type, with a negative side, or too short or too long.
    """
    kinds = {value: name for name, value in TensorProto.DataType.items()}
    if tensor.data_type not in kinds or tensor.data_type == TensorProto.UNDEFINED:
        raise ModelError(f"{where} is of the unknown type {tensor.data_type}", "export it again")
    if any(size < 0 for size in tensor.dims):
        raise ModelError(f"{where} has the shape {list(tensor.dims)[:8]}", "export it again")
    if tensor.HasField("segment"):
        raise ModelError(f"{where} is in segments, which nothing reads", "export it again")
    elements: int = math.prod(tensor.dims)
    kind = kinds[tensor.data_type]
    claim = f"claims {elements:,} values ({kind.lower()})"
    fields = [field for field in VALUES if len(getattr(tensor, field))]
    raw = tensor.HasField("raw_data")
    if tensor.data_type == TensorProto.STRING:
        if raw or len(tensor.string_data) != elements:
            raise ModelError(f"{where} {claim}, and holds {len(tensor.string_data):,}", "export it again")
        return sum(len(text) for text in tensor.string_data)
    size: int = (elements * bits(kind, tensor.data_type) + 7) // 8
    if tensor.data_location == TensorProto.EXTERNAL:
        length = {entry.key: entry.value for entry in tensor.external_data}.get("length")
        if raw or fields or (length is not None and length != str(size)):
            raise ModelError(f"{where} {claim}, and {length or 'more than that'} bytes elsewhere", "export it again")
        return size
    if len(fields) + raw > 1:
        raise ModelError(f"{where} holds its values twice", "export it again")
    if raw or not fields:
        if len(tensor.raw_data) != size:
            raise ModelError(f"{where} {claim}, and holds {len(tensor.raw_data):,} bytes", "export it again")
        return size
    field = helper.tensor_dtype_to_field(tensor.data_type)
    per_entry = 8 // bits(kind, tensor.data_type) if bits(kind, tensor.data_type) < 8 else 1
    wanted = (elements * (2 if kind.startswith("COMPLEX") else 1) + per_entry - 1) // per_entry
    if fields != [field] or len(getattr(tensor, field)) != wanted:
        raise ModelError(f"{where} {claim}, and holds {len(getattr(tensor, fields[0])):,}", "export it again")
    return size


def bits(kind: str, data_type: int) -> int:
    """Of one value."""
    for width in (2, 4):
        if kind in (f"INT{width}", f"UINT{width}") or kind.startswith(f"FLOAT{width}E"):
            return width
    return 8 * int(helper.tensor_dtype_to_np_dtype(data_type).itemsize)


def external_files(model: onnx.ModelProto) -> set[str]:
    """The files that a model keeps weights in, relative to its own."""
    return {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
