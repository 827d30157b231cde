"""What a comparison found: the JSON of `compare --json`. Values only."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from toolkit.gates import GateResult

EQUAL_DB = 150.0  # `calibration.errors.MOST_DB`, without what that imports


class SideEntry(Struct, frozen=True):
    """One of the two.

    Attributes:
        name: as it was given.
        model: its own name.
        precision: of its graph.
        answered_with: what gave its answers: PyTorch, ONNX Runtime for an ONNX file, a bundle's engine.
        engine_difference: the largest difference of a probability between those answers and its graph's on the
            reference, ONNX Runtime: what an engine does that no layer shows.
    """

    name: str
    model: str
    precision: str
    answered_with: str
    engine_difference: float


class ComparedLayer(Struct, frozen=True):
    """The tensor that a layer gives in A and in B, over all images.

    Attributes:
        name: of the layer in A; of the tensor for `logits`, `probabilities` and with `--all-tensors`.
        name_b: its name in B, which is mostly the same.
        operation: ONNX's.
        shape: for one image.
        sqnr_db: signal-to-quantization-noise ratio, -150..150; 150 where both are equal.
        cosine: similarity, -1..1; None where a tensor holds NaN or infinity.
        largest_error: the largest |a - b|; None like that.
        relative_error: the same over the largest |a|; None like that, or where all of A's tensor is 0.
        image: the image that it is in, counted from 0 in the whole set; None where the tensors are equal.
        input_sqnr_db: of what the layer reads in A and in B, before it is quantized; None where that does not agree.
        own_sqnr_db: of its output when B's layer is given what A's layer reads: the error that is its own alone; None
            where it cannot be run by itself.
    """

    name: str
    name_b: str
    operation: str
    shape: tuple[int, ...]
    sqnr_db: float
    cosine: float | None
    largest_error: float | None
    relative_error: float | None
    image: int | None
    input_sqnr_db: float | None
    own_sqnr_db: float | None


class UnmatchedLayer(Struct, frozen=True):
    """A layer, or with `--all-tensors` a tensor, that is not compared, and why.

    Attributes:
        side: whose it is.
        name: its name there.
        reason: why not.
    """

    side: Literal["a", "b"]
    name: str
    reason: str


class Disagreement(Struct, frozen=True):
    """An image that both put into different classes.

    Attributes:
        image: counted from 0 in the whole set.
        file: its file; None where the set is one file.
        label: the right class, or None.
        a, b: the classes that they answer; -1 for NaN.
    """

    image: int
    file: str | None
    label: int | None
    a: int
    b: int


class Comparison(Struct, frozen=True):
    """`compare --json`. Percentages in 0..100.

    Attributes:
        a, b: what was compared.
        data: the set of images.
        images: how many of them.
        equal: no tensor that was compared differs, and every layer of A was compared.
        layers: in the order of A's graph; its ends, logits and probabilities, last.
        adds_most_error: the layer whose `own_sqnr_db` is the lowest; None where none has an error of its own.
        unmatched: what was not compared.
        top1_a, top1_b: accuracy; None without labels.
        agreement: images that both put into the same class.
        largest_probability_difference: over all images and classes.
        largest_difference_image: the image that it is in, counted from 0 in the whole set.
        largest_difference_file: its file; None where the set is one file.
        disagreements: the first of them; `agreement` counts all.
        warnings: what makes the comparison less than it seems.
        picture: the file that was written, or None.
        seconds: that it took.
        gates: what came of each `--gate`.
    """

    a: SideEntry
    b: SideEntry
    data: str
    images: int
    equal: bool
    layers: tuple[ComparedLayer, ...]
    adds_most_error: str | None
    unmatched: tuple[UnmatchedLayer, ...]
    top1_a: float | None
    top1_b: float | None
    agreement: float
    largest_probability_difference: float
    largest_difference_image: int
    largest_difference_file: str | None
    disagreements: tuple[Disagreement, ...]
    warnings: tuple[str, ...]
    picture: str | None
    seconds: float
    gates: tuple[GateResult, ...] = ()
