"""What a bundle has to know of an ONNX file without the package onnx: that it holds everything itself, and ends.

A tensor may name another file for its values (`external_data`). In a bundle that file would not be verified, or not
even be in the folder: ONNX Runtime 1.20 and OpenVINO 2025.0 read it all the same, newer ones do not. A loop may go on
for ever, and no Ctrl-C reaches into a library. A classifier needs neither. The file is a protobuf message; this walks
through it by the field numbers of onnx.proto, skips the values, and copies next to nothing.
"""

from __future__ import annotations

import mmap
from pathlib import Path

# message -> field -> the message in it: every way that leads from a model to a tensor.
MESSAGES: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Tensor": {},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # fields of a Tensor
OPERATOR = 4  # field of a Node
LOOPS = (b"Loop", b"Scan")
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # kinds of value; the groups (3, 4) are not in ONNX
LONGEST_VARINT = 10


def require_safe(path: Path) -> None:
    """Refuse a model that keeps values in other files or has loops.

    Raises:
        ValueError: it does, or it is no ONNX file at all.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise ValueError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            walk(data)


def walk(data: mmap.mmap | bytes) -> None:
    """Go through every message that can lead to a tensor, and look at the tensors and the operators."""
    waiting = [("Model", 0, len(data))]
    while waiting:
        kind, position, end = waiting.pop()
        while position < end:
            tag, position = varint(data, position, end)
            field, wire = tag >> 3, tag & 7
            start = position
            if wire == VARINT:
                _, position = varint(data, position, end)
            elif wire == BYTES:
                length, start = varint(data, position, end)
                position = start + length
            elif wire in (FIXED64, FIXED32):
                position += 8 if wire == FIXED64 else 4
            else:
                raise ValueError("it is not an ONNX file")
            if position > end or not 0 < field < 1 << 29:  # a larger number would be cut to one that is read
                raise ValueError("it is not an ONNX file, or it is cut off")
            if kind == "Tensor" and field in (EXTERNAL_DATA, DATA_LOCATION):
                if field == EXTERNAL_DATA or data[start:position].strip(b"\0\x80"):
                    raise ValueError("it keeps values in another file, which a bundle may not")
            elif kind == "Node" and field == OPERATOR and data[start:position] in LOOPS:
                raise ValueError(f"it has a {data[start:position].decode()}, which might never end")
            elif wire == BYTES and field in MESSAGES[kind]:
                waiting.append((MESSAGES[kind][field], start, position))


def varint(data: mmap.mmap | bytes, position: int, end: int) -> tuple[int, int]:
    """A number of protobuf's, seven bits a byte, and the position behind it."""
    value = 0
    for index in range(min(LONGEST_VARINT, end - position)):
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError("it is not an ONNX file, or it is cut off")
