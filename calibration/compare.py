"""Two graphs side by side: images stream through both, and the error of every layer is summed up on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.errors import TensorError
from calibration.layers import GIVEN, Layer, find_layers, isolate
from calibration.matching import Unmatched, by, match_layers
from export.float16 import typed_tensors
from export.front import IMAGE
from export.head import LOGITS
from export.reference import open_reference

LARGEST_BATCH = 32
BATCH_BYTES = 1 << 28  # of the tensors of one batch that are compared
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)

Pixels: TypeAlias = NDArray[np.uint8]
Values: TypeAlias = dict[str, NDArray[Any]]


@dataclass
class Compared:
    """One pair of tensors with the errors summed up so far.

    Attributes:
        name: of the layer in the first graph, or of the tensor.
        operation: that gives it.
        shape: for one image.
        a, b: the tensor in either graph.
        inputs: what the layer reads, as pairs of tensors; empty for what is no layer, and where they do not agree.
        output: the error of the tensor.
        input: the error of what the layer reads, the worst of several.
        own: the error of the layer in `b` when it is given what that in `a` reads.
    """

    name: str
    operation: str
    shape: tuple[int, ...]
    a: str
    b: str
    inputs: tuple[tuple[str, str], ...] = ()
    output: TensorError = field(default_factory=TensorError)
    input: tuple[TensorError, ...] = ()
    own: TensorError | None = None

    @property
    def input_sqnr_db(self) -> float | None:
        return min((error.sqnr_db for error in self.input), default=None)

    @property
    def own_sqnr_db(self) -> float | None:
        return None if self.own is None else self.own.sqnr_db


class GraphComparison:
    """Streams batches through two graphs that take the same images.

    Attributes:
        rows: what is compared, in the order of the first graph.
        unmatched: what is not, with the reason.
        batch: how many images to give at a time, so that memory stays bounded.
    """

    def __init__(
        self,
        a: onnx.ModelProto,
        b: onnx.ModelProto,
        images: tuple[Pixels, Pixels],
        *,
        all_tensors: bool = False,
        threads: int = 1,
    ) -> None:
        """Match the layers, and open the graphs.

        Args:
            a, b: both take uint8 images (N, H, W, C).
            images: one for each, uint8 (1, H, W, C); the shapes are those that they get.
            all_tensors: compare every float tensor that both graphs have, not layers alone.
            threads: of ONNX Runtime.
        """
        layers = [find_layers(model) for model in (a, b)]
        wanted = [tensors_of(model, found, all_tensors) for model, found in zip((a, b), layers, strict=True)]
        sessions = [open_reference(m, names, threads) for m, names in zip((a, b), wanted, strict=True)]
        shapes = [
            shapes_for(session, names, image)
            for session, names, image in zip(sessions, wanted, images, strict=True)
        ]
        shaped = [
            [replace(layer, shape=found[layer.output]) for layer in part]
            for part, found in zip(layers, shapes, strict=True)
        ]
        matching = match_layers(*shaped)
        self.rows = [compared(one, other, *shapes) for one, other in matching.pairs]
        self.unmatched = list(matching.unmatched)
        if all_tensors:
            self.add_tensors(a, b, shapes)
        self.add_ends(a, b, shapes)
        self.alone, self.given = self.isolate([other for _, other in matching.pairs], b, threads)
        self.sessions = sessions
        self.fetched = [
            [*dict.fromkeys(name for name in self.tensors(side) if name != IMAGE)] for side in (0, 1)
        ]
        size = 4 * sum(
            int(np.prod(shapes[side].get(name, ()))) for side in (0, 1) for name in self.fetched[side]
        )
        self.batch = min(max(BATCH_BYTES // max(size, 1), 1), LARGEST_BATCH)

    def tensors(self, side: int) -> list[str]:
        """Every tensor of a side that is read, several times where it is."""
        outputs = [(row.a, row.b)[side] for row in self.rows]
        return outputs + [pair[side] for row in self.rows for pair in row.inputs]

    def add_tensors(self, a: onnx.ModelProto, b: onnx.ModelProto, shapes: Sequence[Mapping[str, Any]]) -> None:
        """Rows for the other tensors that both graphs name alike; those of one graph alone are named as unmatched."""
        done = {(row.a, row.b) for row in self.rows}
        known = [float_tensors(model) for model in (a, b)]
        for name, operation in known[0].items():
            if name in known[1] and (name, name) not in done:
                if shapes[0][name] == shapes[1][name]:
                    self.rows.append(Compared(name, operation, shapes[0][name], name, name))
                else:
                    reason = f"it is {by(shapes[0][name])} in A and {by(shapes[1][name])} in B"
                    self.unmatched += [Unmatched("a", name, reason), Unmatched("b", name, reason)]
        order = {node.output[0]: index for index, node in enumerate(a.graph.node)}
        self.rows.sort(key=lambda row: order.get(row.a, 0))
        compared_already = {row.a for row in self.rows}, {row.b for row in self.rows}
        for side, mine, others, seen in (("a", *known, compared_already[0]), ("b", *known[::-1], compared_already[1])):
            for name, operation in mine.items():
                if name not in others and name not in seen and operation != "DequantizeLinear":
                    there = "B" if side == "a" else "A"
                    self.unmatched.append(Unmatched(side, name, f"{there} has no tensor of its name"))  # type: ignore[arg-type]

    def add_ends(self, a: onnx.ModelProto, b: onnx.ModelProto, shapes: Sequence[Mapping[str, Any]]) -> None:
        """Rows for the logits, where both graphs have them, and for the probabilities."""
        done = {(row.a, row.b) for row in self.rows}
        for name, ends in (("logits", (LOGITS, LOGITS)), ("probabilities", (a.graph.output[0].name, b.graph.output[0].name))):
            there = all(end in found for end, found in zip(ends, shapes, strict=True))
            if there and ends not in done and shapes[0][ends[0]] == shapes[1][ends[1]]:
                operation = next(node.op_type for node in a.graph.node if ends[0] in node.output)
                self.rows.append(Compared(name, operation, shapes[0][ends[0]], *ends))

    def isolate(self, layers: Sequence[Layer], b: onnx.ModelProto, threads: int) -> tuple[Any, dict[str, str]]:
        """The second graph's layers each by itself; and the tensor of the first graph that each input is given."""
        rows = [row for row in self.rows if row.inputs]
        given: dict[str, str] = {}
        for row in rows:
            for mine, theirs in row.inputs:
                given.setdefault(theirs, mine)
        agreeing = {row.b for row in rows if all(given[theirs] == mine for mine, theirs in row.inputs)}
        graph, alone = isolate(b, [layer for layer in layers if layer.output in agreeing])
        if not alone:
            return None, {}
        outputs = {layer.output for layer in alone}
        for row in rows:
            if row.b in outputs:
                row.own = TensorError()
        session = open_reference(graph, None, threads)
        self.types = {entry.name: helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type) for entry in graph.graph.input}
        return session, {name: given[name.removeprefix(GIVEN)] for name in self.types}

    def update(self, images_a: Pixels, images_b: Pixels) -> tuple[Values, Values]:
        """Add a batch.

        Args:
            images_a, images_b: the same images as either graph takes them, uint8 (n, H, W, C).

        Returns:
            The tensors of both graphs, by name.
        """
        count = len(images_a)
        a, b = (
            {IMAGE: images, **dict(zip(names, session.run(names, {IMAGE: images}), strict=True))}
            for session, names, images in zip(self.sessions, self.fetched, (images_a, images_b), strict=True)
        )
        alone: Values = {}
        if self.alone is not None:
            names = [entry.name for entry in self.alone.get_outputs()]
            with np.errstate(over="ignore"):  # beyond float16 is infinity, as it would be there
                feeds = {name: a[theirs].astype(self.types[name]) for name, theirs in self.given.items()}
            alone = dict(zip(names, self.alone.run(names, feeds), strict=True))
        for row in self.rows:
            row.output.update(a[row.a], b[row.b], count)
            for error, (mine, theirs) in zip(row.input, row.inputs, strict=True):
                error.update(a[mine], b[theirs], count)
            if row.own is not None:
                row.own.update(a[row.a], alone[row.b], count)
        return a, b


def compared(a: Layer, b: Layer, shapes_a: Mapping[str, Any], shapes_b: Mapping[str, Any]) -> Compared:
    """A pair of layers; what they read belongs together where it has the same shapes."""
    fits = len(a.inputs) == len(b.inputs) and all(
        shapes_a[mine] == shapes_b[theirs] for mine, theirs in zip(a.inputs, b.inputs, strict=True)
    )
    inputs = tuple(zip(a.inputs, b.inputs, strict=True)) if fits else ()
    return Compared(
        a.name, a.operation, a.shape, a.output, b.output, inputs, input=tuple(TensorError() for _ in inputs)
    )


def tensors_of(model: onnx.ModelProto, layers: Sequence[Layer], all_tensors: bool) -> list[str]:
    """What may be read of a graph."""
    made = {name for node in model.graph.node for name in node.output}
    names = [name for layer in layers for name in (*layer.inputs, layer.output)]
    names += [LOGITS] * (LOGITS in made) + [model.graph.output[0].name]
    return [*dict.fromkeys(name for name in [*names, *(float_tensors(model) if all_tensors else ())] if name in made)]


def float_tensors(model: onnx.ModelProto) -> dict[str, str]:
    """The operation that gives each float tensor, in the order of the graph; not those of constants."""
    types = typed_tensors(model)
    changing = {IMAGE}
    found = {}
    for node in model.graph.node:
        if changing.intersection(node.input):
            changing.update(node.output)
            found.update({name: node.op_type for name in node.output if types.get(name) in FLOATS})
    return found


def shapes_for(session: Any, names: Sequence[str], image: Pixels) -> dict[str, tuple[int, ...]]:
    """The shapes that tensors have for one image, without the first axis."""
    values = session.run(list(names), {IMAGE: image})
    return {IMAGE: image.shape[1:], **{name: value.shape[1:] for name, value in zip(names, values, strict=True)}}
