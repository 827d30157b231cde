"""Two graphs side by side: images stream through both, and the error of every layer is summed up on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.errors import TensorError
from calibration.layers import GIVEN, Layer, find_layers, isolate
from calibration.matching import Unmatched, by, match_layers
from calibration.tensors import float_tensors, pair_tensors
from export.front import IMAGE
from export.head import LOGITS, PROBABILITIES
from export.reference import open_reference

if TYPE_CHECKING:
    import onnxruntime as ort

LARGEST_BATCH = 32
BATCH_BYTES = 1 << 28  # of the tensors of one batch that are compared

Pixels: TypeAlias = NDArray[np.uint8]
Values: TypeAlias = dict[str, NDArray[Any]]
Shapes: TypeAlias = Mapping[str, tuple[int, ...]]


@dataclass
class Compared:
    """A pair of tensors, with the errors summed up so far.

    Attributes:
        name: of the layer in the first graph, or of the tensor.
        name_b: in the second graph.
        operation: that gives it.
        shape: for one image.
        a, b: the tensor in either graph.
        inputs: what the layer reads, as pairs of tensors; empty for what is no layer, and where they do not agree.
        output: the error of the tensor.
        read: the error of each of the inputs.
        own: the error of the output when the layer of the second graph is given what that of the first one reads; None
            where it cannot be run by itself.
    """

    name: str
    name_b: str
    operation: str
    shape: tuple[int, ...]
    a: str
    b: str
    inputs: tuple[tuple[str, str], ...] = ()
    output: TensorError = field(default_factory=TensorError)
    read: tuple[TensorError, ...] = ()
    own: TensorError | None = None

    @property
    def input_sqnr_db(self) -> float | None:
        """Of the worst of its inputs."""
        return min((error.sqnr_db for error in self.read), default=None)

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
        models: tuple[onnx.ModelProto, onnx.ModelProto],
        images: tuple[Pixels, Pixels],
        *,
        all_tensors: bool = False,
        threads: int = 1,
    ) -> None:
        """Open the graphs and match their layers.

        Args:
            models: both take uint8 images (N, H, W, C) and give probabilities; the first one is the reference.
            images: one for each, uint8 (1, H, W, C): which shapes tensors have is found out by running it.
            all_tensors: compare every float tensor that both graphs have, not layers alone.
            threads: of ONNX Runtime.
        """
        layers = [find_layers(model) for model in models]
        names = [tensors_of(model, found, all_tensors) for model, found in zip(models, layers, strict=True)]
        self.sessions = [open_reference(model, part, threads) for model, part in zip(models, names, strict=True)]
        shapes_a, shapes_b = (
            shapes_for(session, part, image) for session, part, image in zip(self.sessions, names, images, strict=True)
        )
        matching = match_layers(with_shapes(layers[0], shapes_a), with_shapes(layers[1], shapes_b))
        self.rows = [row_of(a, b, shapes_a, shapes_b) for a, b in matching.pairs]
        self.unmatched = list(matching.unmatched)
        if all_tensors:
            more, unmatched = match_tensors(models, self.rows, shapes_a, shapes_b)
            order = {name: index for index, node in enumerate(models[0].graph.node) for name in node.output}
            self.rows = sorted([*self.rows, *more], key=lambda row: order[row.a])
            self.unmatched += unmatched
        self.rows += rows_of_ends(models, self.rows, shapes_a, shapes_b)
        self.alone = Alone(models[1], self.rows, [b for _, b in matching.pairs], threads)
        ends = [model.graph.output[0].name for model in models]
        self.read = [[*dict.fromkeys([*self.tensors(side), ends[side]])] for side in (0, 1)]
        sizes = [shapes[name] for shapes, part in zip((shapes_a, shapes_b), self.read, strict=True) for name in part]
        size = 4 * sum(int(np.prod(shape)) for shape in sizes)
        self.batch = min(max(BATCH_BYTES // max(size, 1), 1), LARGEST_BATCH)

    def tensors(self, side: int) -> list[str]:
        """Every tensor of one graph that is compared, the image aside."""
        names = [pair[side] for row in self.rows for pair in ((row.a, row.b), *row.inputs)]
        return [name for name in names if name != IMAGE]

    def update(self, images: tuple[Pixels, Pixels]) -> tuple[Values, Values]:
        """Add a batch.

        Args:
            images: the same ones as either graph takes them, uint8 (n, H, W, C).

        Returns:
            The tensors of both graphs that are compared, and their outputs, by name.
        """
        count = len(images[0])
        a, b = (
            {IMAGE: pixels, **dict(zip(names, session.run(names, {IMAGE: pixels}), strict=True))}
            for session, names, pixels in zip(self.sessions, self.read, images, strict=True)
        )
        alone = self.alone.run(a)
        for row in self.rows:
            row.output.update(a[row.a], b[row.b], count)
            for error, (mine, theirs) in zip(row.read, row.inputs, strict=True):
                error.update(a[mine], b[theirs], count)
            if row.own is not None:
                row.own.update(a[row.a], alone[row.b], count)
        return a, b


class Alone:
    """The layers of the second graph, each given what the layer of the first one reads."""

    def __init__(self, model: onnx.ModelProto, rows: Sequence[Compared], layers: Sequence[Layer], threads: int) -> None:
        """Find those that can be run so, and let their rows have an error of their own.

        Args:
            model: the second graph.
            rows: what is compared.
            layers: of the second graph, that are compared.
            threads: of ONNX Runtime.
        """
        given: dict[str, str] = {}
        for row in rows:
            for mine, theirs in row.inputs:
                given.setdefault(theirs, mine)
        # One tensor that two layers read cannot be two tensors of the first graph at a time.
        fits = {row.b for row in rows if row.inputs and all(given[theirs] == mine for mine, theirs in row.inputs)}
        graph, alone = isolate(model, [layer for layer in layers if layer.output in fits])
        self.outputs = [*dict.fromkeys(layer.output for layer in alone)]
        for row in rows:
            if row.b in self.outputs and row.inputs:
                row.own = TensorError()
        types = {entry.name: entry.type.tensor_type.elem_type for entry in graph.graph.input}
        self.inputs = {
            name: (given[name.removeprefix(GIVEN)], helper.tensor_dtype_to_np_dtype(kind))
            for name, kind in types.items()
        }
        self.session: ort.InferenceSession | None = open_reference(graph, None, threads) if alone else None

    def run(self, values: Values) -> Values:
        """What the layers give, by tensor of the second graph, for tensors of the first one."""
        if self.session is None:
            return {}
        with np.errstate(over="ignore"):  # beyond float16 is infinity, as it would be there
            feeds = {name: values[tensor].astype(dtype) for name, (tensor, dtype) in self.inputs.items()}
        return dict(zip(self.outputs, self.session.run(self.outputs, feeds), strict=True))


def with_shapes(layers: Sequence[Layer], shapes: Shapes) -> list[Layer]:
    """The same layers with the shapes of their outputs."""
    return [replace(layer, shape=shapes[layer.output]) for layer in layers]


def row_of(a: Layer, b: Layer, shapes_a: Shapes, shapes_b: Shapes) -> Compared:
    """A pair of layers; what they read belongs together where it has the same shapes."""
    fits = [shapes_a[name] for name in a.inputs] == [shapes_b[name] for name in b.inputs]
    inputs = tuple(zip(a.inputs, b.inputs, strict=True)) if fits else ()
    read = tuple(TensorError() for _ in inputs)
    return Compared(a.name, b.name, a.operation, a.shape, a.output, b.output, inputs, read=read)


def match_tensors(
    models: tuple[onnx.ModelProto, onnx.ModelProto], rows: Sequence[Compared], shapes_a: Shapes, shapes_b: Shapes
) -> tuple[list[Compared], list[Unmatched]]:
    """Rows for the float tensors of both graphs that belong together and that no layer gives; and the others."""
    a, b = (float_tensors(model) for model in models)
    done_a, done_b = {row.a for row in rows}, {row.b for row in rows}
    known = {mine: theirs for row in rows for mine, theirs in ((row.a, row.b), *row.inputs)}
    pairs = {mine: theirs for mine, theirs in pair_tensors(*models, known).items() if mine in a and theirs in b}
    found, unmatched = [], []
    for mine, theirs in pairs.items():
        if mine in done_a or theirs in done_b:
            continue
        if shapes_a[mine] == shapes_b[theirs]:
            operation = a[mine] if a[mine] == b[theirs] else f"{a[mine]} / {b[theirs]}"
            found.append(Compared(mine, theirs, operation, shapes_a[mine], mine, theirs))
        else:
            reason = f"it is {by(shapes_a[mine])} in A and {by(shapes_b[theirs])} in B"
            unmatched += [Unmatched("a", mine, reason), Unmatched("b", theirs, reason)]
    paired = set(pairs.values())
    unmatched += [
        Unmatched("a", name, f"B does no {a[name]} with what it is made of") for name in a if name not in pairs
    ]
    unmatched += [
        Unmatched("b", name, f"A does no {b[name]} with what it is made of") for name in b if name not in paired
    ]
    return found, unmatched


def rows_of_ends(
    models: tuple[onnx.ModelProto, onnx.ModelProto], rows: Sequence[Compared], shapes_a: Shapes, shapes_b: Shapes
) -> list[Compared]:
    """Rows for the logits, where both graphs have them and no layer gives them, and for the probabilities."""
    done = {(row.a, row.b) for row in rows}
    outputs = (models[0].graph.output[0].name, models[1].graph.output[0].name)
    makers = {name: node.op_type for node in models[0].graph.node for name in node.output}
    return [
        Compared(name, name, makers[a], shapes_a[a], a, b)
        for name, (a, b) in ((LOGITS, (LOGITS, LOGITS)), (PROBABILITIES, outputs))
        if (a, b) not in done and a in shapes_a and b in shapes_b and shapes_a[a] == shapes_b[b]
    ]


def tensors_of(model: onnx.ModelProto, layers: Sequence[Layer], all_tensors: bool) -> list[str]:
    """What may be compared of a graph."""
    names = [name for layer in layers for name in (*layer.inputs, layer.output)]
    names += [LOGITS, model.graph.output[0].name, *(float_tensors(model) if all_tensors else ())]
    made = {name for node in model.graph.node for name in node.output}
    return [*dict.fromkeys(name for name in names if name in made)]


def shapes_for(session: ort.InferenceSession, names: Sequence[str], image: Pixels) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor for one image, without the first axis."""
    values = session.run(list(names), {IMAGE: image})
    return {IMAGE: image.shape[1:], **{name: value.shape[1:] for name, value in zip(names, values, strict=True)}}
