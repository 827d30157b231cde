"""The two sides of a comparison: each a graph with all its tensors, and the real thing that answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click
import numpy as np
import onnx
from msgspec import structs
from numpy.typing import NDArray

from runtime.bundle import Bundle, is_bundle
from runtime.errors import ModelError
from runtime.progress import Progress
from runtime.session import open_session
from runtime.spec import BatchRange, ModelSpec
from toolkit.foreign.spec import Told
from toolkit.source import resolve_model

if TYPE_CHECKING:
    from toolkit.graphs import Model

CHECKED_IMAGES = 4
SEEN = {"--input-size", "--color", "--mean", "--std", "--crop-pct", "--spec"}

Pixels: TypeAlias = NDArray[np.uint8]
Answer: TypeAlias = Callable[[Pixels], NDArray[np.float32]]


@dataclass(frozen=True)
class Options:
    """What the command line says of the models and of how to run them.

    Attributes:
        settings: options of a model of the zoo, or arguments of a factory.
        weights: of either side; None takes its own.
        told: of models from elsewhere.
        backend, device, threads, cache_dir: of a bundle's engine.
    """

    settings: dict[str, str]
    weights: tuple[str | None, str | None]
    told: Told
    backend: str | None = None
    device: str | None = None
    threads: int | None = None
    cache_dir: Path | None = None


@dataclass(frozen=True)
class Found:
    """A side that is known but not loaded.

    Attributes:
        name: as it was given.
        source: a verified bundle, or a model with its weights.
    """

    name: str
    source: Bundle | Model

    @property
    def spec(self) -> ModelSpec:
        return self.source.spec

    @property
    def bundle(self) -> Bundle | None:
        return self.source if isinstance(self.source, Bundle) else None

    @property
    def data(self) -> Path | None:
        """The images that it brings."""
        return None if isinstance(self.source, Bundle) else self.source.data


@dataclass(frozen=True)
class Side:
    """A side that is ready.

    Attributes:
        found: what it is.
        graph: takes uint8 images (N, H, W, C).
        precision: of the graph.
        answer: the real thing: from images, uint8 (N, H, W, C), to probabilities, float32 (N, classes).
        answered_with: what that is.
    """

    found: Found
    graph: onnx.ModelProto
    precision: str
    answer: Answer
    answered_with: str


def find_sides(names: tuple[str, str], options: Options, progress: Progress) -> tuple[Found, Found]:
    """What the command line names: a bundle, a file.onnx, a model of the zoo, or module:factory.

    A model from elsewhere takes images as the other side does, where nothing is told of it.

    Raises:
        UsageError: an option is for neither.
        ToolkitError: one cannot be opened, or they do not take images of one size and answer for as many classes.
    """
    refuse_idle(names, options)
    found: dict[int, Found] = {}
    for index in sorted((0, 1), key=lambda i: is_foreign(names[i])):  # those that know themselves come first
        name, other = names[index], found.get(1 - index)
        if is_bundle(Path(name)):
            found[index] = Found(name, Bundle.open(name))
        elif is_foreign(name) and other and not SEEN.intersection(options.told.flags):
            found[index] = Found(name, borrow(name, index, other, options, progress))
        else:
            found[index] = Found(name, resolve(name, index, options, progress))
    require_alike(found[0], found[1])
    return found[0], found[1]


def require_alike(a: Found, b: Found) -> None:
    """Refuse models of different tasks.

    Raises:
        ModelError: they take images of different sizes, or answer for different numbers of classes.
    """
    hint = "compare two models of one task: images of one size, and the same classes"
    if a.spec.image_shape != b.spec.image_shape:
        sizes = f"{by(a.spec.image_shape)}, and {b.name} of {by(b.spec.image_shape)}"
        raise ModelError(f"{a.name} takes images of {sizes}", hint)
    if a.spec.classes != b.spec.classes:
        raise ModelError(f"{a.name} has {a.spec.classes} classes, and {b.name} {b.spec.classes}", hint)


def is_foreign(name: str) -> bool:
    """Whether a name is that of a model from elsewhere."""
    return not is_bundle(Path(name)) and (name.endswith(".onnx") or ":" in name)


def refuse_idle(names: tuple[str, str], options: Options) -> None:
    """Refuse options that are for neither side."""
    bundles = [is_bundle(Path(name)) for name in names]
    made = [not bundle and not name.endswith(".onnx") for bundle, name in zip(bundles, names, strict=True)]
    if options.told.flags and not any(map(is_foreign, names)):
        raise click.UsageError(f"{options.told.flags[0]} is for an ONNX file or a module:factory, and there is neither")
    if options.settings and not any(made):
        raise click.UsageError("--set is for a model of the zoo or a module:factory, and there is neither")
    for weights, flag, takes in zip(options.weights, ("--weights", "--weights-b"), (any(made), made[1]), strict=True):
        if weights and not takes:
            raise click.UsageError(f"{flag} does not go with bundles and ONNX files, which hold their weights")
    if (options.backend or options.device) and not any(bundles):
        raise click.UsageError(f"--{'backend' if options.backend else 'device'} is for a bundle, and there is none")


def resolve(name: str, index: int, options: Options, progress: Progress) -> Model:
    """A model with its weights."""
    whole = name.endswith(".onnx")
    settings = {} if whole else options.settings
    weights = None if whole else options.weights[index] or options.weights[0]
    told = options.told if is_foreign(name) else Told()
    return resolve_model(name, settings, weights, False, told, options.cache_dir, progress)


def borrow(name: str, index: int, other: Found, options: Options, progress: Progress) -> Model:
    """A model from elsewhere that takes images as the other side does.

    Raises:
        ModelError: it does not run so.
    """
    spec = other.spec
    image = spec.preprocess
    height, width, _ = spec.image_shape
    told = replace(options.told, input_size=(height, width), color=image.color, mean=image.mean, std=image.std)
    try:
        model = resolve(name, index, replace(options, told=told), progress)
    except ModelError as error:
        raise ModelError(
            f"{name} does not take the images of {other.name}, {by(spec.image_shape)} {image.color}: "
            f"{error.message.removeprefix(f'{name}: ')}",
            "where it takes others, say which: --input-size, --color, --mean, --std",
        ) from error
    click.echo(f"{name} takes images as {other.name} does; --input-size and the like say otherwise", err=True)
    labels = model.spec.labels or spec.labels
    labels = labels if len(labels) == model.spec.classes else ()
    return with_spec(model, structs.replace(model.spec, preprocess=image, labels=labels))


def with_spec(model: Model, spec: ModelSpec) -> Model:
    """The same model from elsewhere with another spec."""
    return replace(model, spec=spec)  # type: ignore[arg-type]  # one of the zoo has another field for it


def open_side(found: Found, samples: Pixels, options: Options, progress: Progress, stack: ExitStack) -> Side:
    """Load a side.

    Args:
        found: what it is.
        samples: a few images, uint8 (n, H, W, C), to hold an export to its original.
        options: how to run a bundle's engine.
        progress: told of every step.
        stack: closes what was opened.

    Raises:
        ToolkitError: it cannot be exported, or its engine does not load.
    """
    if isinstance(found.source, Bundle):
        bundle = found.source
        session = stack.enter_context(
            open_session(
                bundle,
                backend=options.backend,
                device=options.device,
                threads=options.threads,
                cache_dir=options.cache_dir,
            )
        )
        manifest = bundle.manifest
        return Side(
            found, onnx.load(bundle.model_path), manifest.precision, session.run, options.backend or manifest.target
        )
    return open_model(found, found.source, samples, options.threads, progress)


def open_model(found: Found, model: Model, samples: Pixels, threads: int | None, progress: Progress) -> Side:
    """Export a model, and keep what it was exported from to answer."""
    with progress.stage("load PyTorch"):
        import torch

        from export.parity import Original, answer, normalize
        from runtime.datasets import ArrayDataset
        from toolkit.foreign.onnx import ForeignOnnx
        from toolkit.graphs import Source, export_fp32, module_of

    if threads:
        torch.set_num_threads(threads)
    few = BatchRange(1, 1, 2)
    source = Source(model, ArrayDataset("", samples, None), 1, "auto", few, False, None)
    with tempfile.TemporaryDirectory() as folder:
        exported = export_fp32(source, samples, Path(folder) / "fp32.onnx", progress)
        graph = onnx.load(exported.path)
    spec = model.spec
    whole = isinstance(model, ForeignOnnx)
    original: Original = model.original if isinstance(model, ForeignOnnx) else partial(answer, module_of(model), spec)

    def answers(images: Pixels) -> NDArray[np.float32]:
        given = original(normalize(spec.preprocess, images))
        return softmax(given) if spec.output_kind == "logits" else given

    return Side(found, graph, "fp32", answers, "onnxruntime" if whole else "pytorch")


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 (N, classes) to probabilities of the same shape."""
    wide = logits.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def by(shape: tuple[int, ...]) -> str:
    """`32x32x1`."""
    return "x".join(map(str, shape))
