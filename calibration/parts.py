"""A graph run from one place to the next, for a few images whose tensors are kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx
from numpy.typing import NDArray

from export.float16 import typed_tensors
from export.graph import captured, initializers, value_info
from export.reference import open_reference

Values: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """A stretch of a graph that ends where a tensor is there.

    Attributes:
        model: its nodes; there may be none.
        inputs: tensors that it reads.
        outputs: those that it makes and that it or what comes later is asked for.
        kept: tensors from before that are still needed after it.
    """

    model: onnx.ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kept: tuple[str, ...]

    def runner(self) -> Callable[[Values], Values]:
        """From the values of all tensors that are needed from here on to those that are needed afterwards."""
        session = open_reference(self.model) if self.model.graph.node else None

        def run(values: Values) -> Values:
            kept = {name: values[name] for name in self.kept}
            if session is None:
                return kept
            made = session.run(self.outputs, {name: values[name] for name in self.inputs})
            return {**kept, **dict(zip(self.outputs, made, strict=True))}

        return run


def parts(model: onnx.ModelProto, ends: Sequence[str]) -> Iterator[Part]:
    """Cut a graph where some tensors are there; what comes after the last one is left out.

    A part holds the constants as they are when it is asked for: they may be changed as long as it is not.

    Args:
        model: the graph.
        ends: tensors, in the order of the graph; one that is there already gives a part without nodes.
    """
    graph, constants, types = model.graph, initializers(model.graph), typed_tensors(model)
    nodes = list(graph.node)
    reads = [dict.fromkeys(name for name in (*node.input, *captured(node)) if name) for node in nodes]
    places = {name: index for index, node in enumerate(nodes) for name in node.output}
    stops = [places.get(end, -1) + 1 for end in ends]
    last_read = {name: index for index in range(max(stops, default=0)) for name in reads[index]}
    live, start = {entry.name for entry in graph.input}, 0
    for number, end in enumerate(ends):
        stop = max(stops[number], start)
        made = [name for node in nodes[start:stop] for name in node.output if name]
        read = dict.fromkeys(name for index in range(start, stop) for name in reads[index])
        inputs = tuple(name for name in read if name not in made and name not in constants)
        needed = {name for name in (*live, *made) if name == end or last_read.get(name, -1) >= stop}
        outputs = tuple(name for name in made if name in needed)
        used = onnx.GraphProto(name=f"part {number}")
        used.node.extend(nodes[start:stop])
        used.initializer.extend(constants[name] for name in read if name in constants)
        used.input.extend(value_info(name, types.get(name)) for name in inputs)
        used.output.extend(value_info(name, types.get(name)) for name in outputs)
        part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=used)
        yield Part(part, inputs, outputs, tuple(sorted(live & needed)))
        live, start = needed, stop
