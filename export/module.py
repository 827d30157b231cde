"""nn.Module, or a graph, to a checked ONNX file that takes uint8 images and gives probabilities, step by step."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from export.front import add_front
from export.head import LOGITS, PROBABILITIES, add_softmax
from export.names import name_layers, name_turned_weights, strip_metadata
from export.parity import TOLERANCE, Original, ParityRow, answer, measure_parity, normalize
from export.rules import apply_rules
from export.simplify import Simplifier, simplify
from export.torch_cache import own_torch_cache
from runtime.errors import ExportError
from runtime.folder import write_atomically
from runtime.progress import Progress
from runtime.spec import BatchRange, ModelSpec

OPSET = 20
IR_VERSION = 10


@dataclass(frozen=True)
class ExportResult:
    """What was exported.

    Attributes:
        path: the ONNX file.
        parity: against PyTorch, by batch size.
        rules: each graph rule with how often it was applied, and why not where it did not fit.
        warnings: for the user.
    """

    path: Path
    parity: tuple[ParityRow, ...]
    rules: tuple[tuple[str, int, str], ...]
    warnings: tuple[str, ...]


def export_module(
    module: nn.Module,
    spec: ModelSpec,
    images: NDArray[np.uint8],
    out_path: Path,
    batch: BatchRange,
    progress: Progress,
) -> ExportResult:
    """Export, simplify, rewrite, check, write.

    Args:
        module: takes float32 (N, C, H, W); left in the mode that it came in.
        spec: of the model; its mean and std go into the graph.
        images: real ones, uint8 (N, H, W, C), to check with.
        out_path: the file to write.
        batch: its sizes are checked.
        progress: told of every step.

    Raises:
        ExportError: PyTorch cannot export the module, the graph does not answer as it does, or the images do not fit.
    """
    check_images(images, spec)
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with Simplifier() as simplifier:
            with progress.stage("export", None):
                pair = normalize(spec.preprocess, np.resize(images, (2, *spec.image_shape)))
                model = trace(module, spec, pair)
                name_turned_weights(model, {path: part.detach().numpy() for path, part in module.named_parameters()})
            original = partial(answer, module, spec)
            return finish(model, original, "PyTorch", spec, images, out_path, batch, simplifier, progress)
    finally:
        for part, training in modes:
            part.training = training


def export_graph(
    model: onnx.ModelProto,
    original: Original,
    spec: ModelSpec,
    images: NDArray[np.uint8],
    out_path: Path,
    batch: BatchRange,
    progress: Progress,
    tolerance: float = TOLERANCE,
) -> ExportResult:
    """The same for a graph from elsewhere.

    Args:
        model: with one input, float32 (batch, C, H, W), and one output, `logits` or `probabilities` as the spec says.
        original: to check with.
        spec: of the model; its mean and std go into the graph.
        images: real ones, uint8 (N, H, W, C), to check with.
        out_path: the file to write.
        batch: its sizes are checked.
        progress: told of every step.
        tolerance: of the comparison.

    Raises:
        ExportError: the graph does not answer as the original does, or the images do not fit.
    """
    check_images(images, spec)
    with Simplifier() as simplifier:
        return finish(model, original, "the original", spec, images, out_path, batch, simplifier, progress, tolerance)


def finish(
    model: onnx.ModelProto,
    original: Original,
    what: str,
    spec: ModelSpec,
    images: NDArray[np.uint8],
    out_path: Path,
    batch: BatchRange,
    simplifier: Simplifier,
    progress: Progress,
    tolerance: float = TOLERANCE,
) -> ExportResult:
    """Simplify, rewrite, check, write."""
    strip_metadata(model)
    with progress.stage("simplify", None) as stage:
        pair = normalize(spec.preprocess, np.resize(images, (2, *spec.image_shape)))
        model, warning = simplify(model, pair, simplifier)
        if warning:
            stage.note(f"warning: {warning}")
    name_layers(model)
    add_front(model, spec)
    rules = apply_rules(model)
    add_softmax(model, spec)
    strip_metadata(model)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "edge-deployment-toolkit", ""
    model.graph.name = spec.name
    check(model, spec)
    with progress.stage(f"compare with {what}", None) as stage:
        parity = measure_parity(original, model, spec, images, sorted({1, 2, batch.largest}), tolerance)
        stage.note("logits differ by " + ", ".join(f"{row.max_error:.1e} at batch {row.batch}" for row in parity))
    write_atomically(out_path, model.SerializeToString(deterministic=True))
    return ExportResult(out_path, parity, rules, (warning,) if warning else ())


def check_images(images: NDArray[np.uint8], spec: ModelSpec) -> None:
    """Refuse images that prove nothing: `np.resize` would make up zeros for none, and recut those of another size."""
    if images.dtype != np.uint8 or images.shape[1:] != spec.image_shape or not len(images):
        raise ExportError(
            f"{spec.name} is checked with uint8 images (N, {', '.join(map(str, spec.image_shape))}), "
            f"not {images.dtype} {images.shape}",
            "give at least one image, preprocessed to the model's size",
        )


def check(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Hold the graph to ONNX's own rules, shapes included."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"the exported graph of {spec.name} is not valid: {innermost(error)}",
            f"check that the model is float32 and gives {spec.classes} classes as the spec says",
        ) from error


def trace(module: nn.Module, spec: ModelSpec, example: NDArray[np.float32]) -> onnx.ModelProto:
    """The graph as PyTorch's exporter makes it, the batch dynamic.

    Args:
        module: in evaluation mode.
        spec: names the output.
        example: float32 (2, C, H, W); a batch of 1 would be taken for a constant.
    """
    output = LOGITS if spec.output_kind == "logits" else PROBABILITIES
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                (torch.from_numpy(example),),
                dynamo=True,
                opset_version=OPSET,
                input_names=["image"],
                output_names=[output],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    except Exception as error:  # the exporter wraps whatever the model raises
        raise ExportError(
            f"PyTorch cannot export {spec.name}: {innermost(error)}",
            "it must run on a batch of 2; what PyTorch's exporter does not know has to be replaced in the model, or "
            "exported in another way: an ONNX file is taken, too",
        ) from error
    if program is None:
        raise ExportError(f"PyTorch exported nothing for {spec.name}", "report it, with the version of torch")
    model: onnx.ModelProto = program.model_proto
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what the exporter says of its own internals, and keep its cache folder out of the system's temporary one.

    What a model prints must not get between the JSON on standard output. On standard error, PyTorch prints its graph as
    far as it came, once for each way in which it tried to export a model that it cannot.

    Errors are raised all the same.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.fx.experimental.symbolic_shapes")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            own_torch_cache(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def innermost(error: BaseException) -> str:
    """The first line of the error that started it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
