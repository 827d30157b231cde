"""The type that each layer of an engine executes in: from the inspector, or from the detailed log of its build.

A layer of the engine names the ONNX nodes that it was made of. Of those that name one, the layer that convolves or
multiplies matrices executes it; its type is that of what it reads. What TensorRT fused beyond recognition is not told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LINE = re.compile(
    r"^Name: (?P<name>.*?), LayerType: (?P<kind>.*?), Inputs: \[(?P<inputs>.*?)\], (?:Constants: .*?)?"
    r"Outputs: \[.*?\], .*?Metadata: (?P<metadata>.*)$"
)
ONNX_NODE = re.compile(r"\[ONNX Layer: ([^\]\x1f]+)")
COMPUTES = re.compile(r"conv|corr|gemm|matrix|matmul|(?-i:Fc|Corr|Gemm)|fusion", re.IGNORECASE)
# A convolution may be one layer with the pool behind it: CaskConvActPool.
MOVES = re.compile(r"reformat|shuffle|shape|constant|^(?!.*conv).*(?:pooling|pool$)", re.IGNORECASE)
# How the two ways, in their releases, call what a tensor holds.
TYPES = (
    ("int8", re.compile(r"\bint8\b", re.IGNORECASE)),
    ("fp16", re.compile(r"\b(half|fp16)\b", re.IGNORECASE)),
    ("bf16", re.compile(r"\b(bfloat16|bf16)\b", re.IGNORECASE)),
    ("fp32", re.compile(r"\b(float|fp32|float32)\b", re.IGNORECASE)),
)


@dataclass(frozen=True)
class EngineLayer:
    """A layer of an engine, in TensorRT's words.

    Attributes:
        name: its own.
        kind: such as `correlation`, `gemm`, `CaskConvolution`.
        reads: what its first input holds.
        nodes: of the ONNX graph that it was made of.
    """

    name: str
    kind: str
    reads: str
    nodes: tuple[str, ...]


def executed(layers: Iterable[EngineLayer]) -> dict[str, str]:
    """The type of each ONNX node that a layer computes, the first of several telling, and of every other layer."""
    types: dict[str, str] = {}
    for layer in layers:
        computes = COMPUTES.search(f"{layer.kind} {layer.name}") and not MOVES.search(layer.kind)
        kind = type_of(layer.reads)
        for name in (layer.nodes if computes else (layer.name,)) if kind else ():
            types.setdefault(name, kind)
    return types


def count_reformats(layers: Iterable[EngineLayer]) -> int:
    """The layers that compute nothing, but bring a tensor into another form or type."""
    return sum("reformat" in layer.kind.lower() for layer in layers)


def type_of(text: str) -> str:
    """Our name of a type; empty for one that has none."""
    return next((name for name, pattern in TYPES if pattern.search(text)), "")


def from_log(lines: Iterable[str]) -> Iterator[EngineLayer]:
    """The layers of a detailed log, a line each: `Name: conv1_myl0_2, LayerType: correlation, Inputs: [ { ...`."""
    for line in (line for text in lines for line in text.splitlines()):
        found = LINE.match(line.strip())
        if found:
            kinds = re.findall(r"Datatype: ([^,}]+)", found["inputs"])
            yield EngineLayer(
                found["name"], found["kind"], kinds[0] if kinds else "", tuple(ONNX_NODE.findall(found["metadata"]))
            )


def from_inspector(text: str) -> Iterator[EngineLayer]:
    """The layers of the inspector's JSON; none where it is no JSON, or an engine without details."""
    try:
        layers = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError):
        return
    for layer in layers:
        if isinstance(layer, dict):
            given = next((entry for entry in layer.get("Inputs", []) if isinstance(entry, dict)), {})
            reads = str(given.get("Datatype") or given.get("Format/Datatype") or "")
            nodes = tuple(ONNX_NODE.findall(str(layer.get("Metadata", ""))))
            yield EngineLayer(str(layer.get("Name", "")), str(layer.get("LayerType", "")), reads, nodes)
