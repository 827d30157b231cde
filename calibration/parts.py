"""A graph run from one place to the next, for a few images whose tensors are kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx
from numpy.typing import NDArray

from export.float16 import typed_tensors
from export.graph import initializers, value_info
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
    places = {name: index for index, node in enumerate(nodes) for name in node.output}
    stops = [places.get(end, -1) + 1 for end in ends]
    live, start = {entry.name for entry in graph.input}, 0
    for number, end in enumerate(ends):
        stop = max(stops[number], start)
        stretch = nodes[start:stop]
        later = {name for node in nodes[stop : max(stops)] for name in node.input} | {end}
        made = [name for node in stretch for name in node.output if name]
        read = dict.fromkeys(name for node in stretch for name in node.input if name)
        inputs = tuple(name for name in read if name not in made and name not in constants)
        outputs = tuple(name for name in made if name in later)
        used = onnx.GraphProto(name=f"part {number}")
        used.node.extend(stretch)
        used.initializer.extend(constants[name] for name in read if name in constants)
        used.input.extend(value_info(name, types.get(name)) for name in inputs)
        used.output.extend(value_info(name, types.get(name)) for name in outputs)
        part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=used)
        yield Part(part, inputs, outputs, tuple(sorted(live & later)))
        live = (live | set(outputs)) & later
        start = stop
