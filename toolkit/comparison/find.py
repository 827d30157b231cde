"""What the command line names: two models that fit each other, known but not loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import structs

from runtime.bundle import Bundle, is_bundle
from runtime.errors import ExportError, ModelError, WeightsError
from runtime.progress import Progress
from runtime.spec import ModelSpec
from runtime.text import by
from toolkit.foreign.spec import SEEN, Borrowed, Told
from toolkit.options import EngineChoice, ModelChoice
from toolkit.source import resolve_model

if TYPE_CHECKING:
    from toolkit.graphs import Model


@dataclass(frozen=True)
class Options:
    """What the command line says of the models and of how to run them.

    Attributes:
        settings: options of a model of the zoo, or arguments of a factory.
        weights: of either side; None takes its own.
        told: of models from elsewhere.
        engine: how a bundle is opened.
    """

    settings: dict[str, str]
    weights: tuple[str | None, str | None]
    told: Told
    engine: EngineChoice


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


def find_sides(names: tuple[str, str], options: Options, progress: Progress) -> tuple[Found, Found]:
    """What the command line names: a bundle, a file.onnx, a model of the zoo, or module:factory.

    A model from elsewhere takes images as the other side does, where nothing is told of it.

    Raises:
        UsageError: an option is for neither.
        ToolkitError: one cannot be opened, or they do not take images of one size and answer for as many classes.
    """
    refuse_idle(names, options)
    found: dict[int, Found] = {}
    for index in sorted((0, 1), key=lambda i: (is_foreign(names[i]), ":" in names[i])):  # who knows itself comes first
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
    if (options.engine.backend or options.engine.device) and not any(bundles):
        raise click.UsageError(
            f"--{'backend' if options.engine.backend else 'device'} is for a bundle, and there is none"
        )


def resolve(name: str, index: int, options: Options, progress: Progress) -> Model:
    """A model with its weights."""
    whole = name.endswith(".onnx")
    chosen = ModelChoice(
        settings={} if whole else options.settings,
        weights=None if whole else options.weights[index] or options.weights[0],
        told=options.told if is_foreign(name) else Told(),
    )
    return resolve_model(name, chosen, options.engine.cache_dir, progress)


def borrow(name: str, index: int, other: Found, options: Options, progress: Progress) -> Model:
    """A model from elsewhere that takes images as the other side does.

    Raises:
        ModelError: it does not run so.
    """
    spec = other.spec
    image = spec.preprocess
    height, width, _ = spec.image_shape
    said = options.told
    told = Borrowed(
        (height, width),
        image.color,
        image.mean,
        image.std,
        labels=said.labels,
        output_kind=said.output_kind,
        output_name=said.output_name,
    )
    try:
        model = resolve(name, index, replace(options, told=told), progress)
    except ModelError as error:
        here = Path(name).is_file() if name.endswith(".onnx") else isinstance(error, ExportError)
        if isinstance(error, WeightsError) or not here:
            raise  # it has nothing to do with the images
        raise ModelError(
            f"{name} cannot be compared with {other.name}, which takes images of {by(spec.image_shape)}, {image.color}:"
            f" {error.message.removeprefix(f'{name}: ')}",
            "where it takes others, say which: --input-size, --color, --mean, --std",
        ) from error
    from toolkit.foreign.onnx import ForeignOnnx

    if isinstance(model, ForeignOnnx) and model.described:
        return model
    click.echo(f"{name} takes images as {other.name} does; --input-size and the like say otherwise", err=True)
    labels = model.spec.labels or spec.labels
    labels = labels if len(labels) == model.spec.classes else ()
    return with_spec(model, structs.replace(model.spec, preprocess=image, labels=labels))


def with_spec(model: Model, spec: ModelSpec) -> Model:
    """The same model from elsewhere with another spec."""
    return replace(model, spec=spec)  # type: ignore[arg-type]  # one of the zoo has another field for it
