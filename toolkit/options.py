"""Options that several commands share: one decorator each, so that they read and behave alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce, wraps
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from calibration.options import CALIB_IMAGES, MOST_CALIB_IMAGES, CalibrationOptions, RequestedMethod, Rounding
from toolkit.option_types import (
    FILE,
    FOLDER,
    BatchRangeType,
    Capabilities,
    FiniteRange,
    ImageCount,
    InputSize,
    Numbers,
    Settings,
    WeightsType,
)

if TYPE_CHECKING:
    from runtime.bundle import Bundle
    from runtime.measure.cold import Opening
    from runtime.session import Session
    from runtime.spec import Precision
    from toolkit.foreign.spec import Told

F = TypeVar("F", bound=Callable[..., Any])

# Only names: importing the backends for them would load numpy for every --help.
BACKEND_NAMES = ("openvino", "onnxruntime", "tensorrt", "tensorrt-rtx")
MOST_THREADS = 256  # as in runtime.session


def combine(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several decorators as one, the first one outermost."""
    return lambda function: reduce(lambda inner, decorate: decorate(inner), reversed(decorators), function)


def as_one(name: str, make: Callable[..., Any], *options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Options that a command gets as one value.

    Args:
        name: of the command's argument.
        make: gives the value; its parameters, or a dataclass's fields, have the names of the options' parameters.
        options: a decorator each.
    """
    parts = list(signature(make).parameters)

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def gather(*given: Any, **values: Any) -> Any:
            chosen = {part: values.pop(part) for part in parts}
            return function(*given, **{name: make(**chosen)}, **values)

        return combine(*options)(gather)

    return decorate


threads_option = click.option(
    "--threads", type=click.IntRange(1, MOST_THREADS), help="CPU threads.  [default: every core this process may use]"
)
device_option = click.option(
    "--device", metavar="NAME", help="A device of the backend, such as CPU or cuda:0; doctor names them."
)
cache_option = click.option(
    "--cache-dir",
    type=FOLDER,
    help="Keep what makes the next start faster here; may be deleted at any time.  [default: the user's cache folder]",
)

output_options = combine(
    click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, to standard output."),
    click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."),
)


@dataclass(frozen=True)
class EngineChoice:
    """How the command line has a bundle opened.

    Attributes:
        backend, device, threads, cache_dir, trust: as `open_session` takes them.
    """

    backend: str | None = None
    device: str | None = None
    threads: int | None = None
    cache_dir: Path | None = None
    trust: bool = False

    def open(self, bundle: Path | Bundle) -> Session:
        """A session over a bundle."""
        from runtime import open_session

        return open_session(bundle, **vars(self))

    def opening(self, bundle: Path) -> Opening:
        """The same with the bundle's folder, in text, for other processes."""
        from runtime.measure.cold import Opening

        cache_dir = str(self.cache_dir) if self.cache_dir else None
        return Opening(str(bundle), **{**vars(self), "cache_dir": cache_dir})


engine_options = as_one(
    "engine",
    EngineChoice,
    click.option(
        "--backend",
        type=click.Choice(BACKEND_NAMES),
        help="Run the bundle's ONNX model with this.  [default: the bundle's own engine]",
    ),
    device_option,
    threads_option,
    cache_option,
    click.option(
        "--trust", is_flag=True, help="Load plans that run code of their own: version-compatible ones of TensorRT."
    ),
)

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path))


precision_options = combine(
    click.option("--fp32", is_flag=True, help="A float32 graph."),
    click.option("--fp16", is_flag=True, help="A float16 graph; with --int8, INT8 with a float16 rest."),
    click.option("--int8", is_flag=True, help="An INT8 graph, calibrated on images."),
)


def pick_precision(fp32: bool, fp16: bool, int8: bool) -> Precision | None:
    """What the three flags ask for together; None where none was given."""
    if fp32 and (fp16 or int8):
        raise click.UsageError("--fp32 stands alone: it goes with neither --fp16 nor --int8")
    if int8:
        return "int8-fp16" if fp16 else "int8"
    return "fp16" if fp16 else "fp32" if fp32 else None


def refuse_idle(precision: Precision | None, options: CalibrationOptions, calibration: Path | None) -> None:
    """Refuse the options of INT8 where none is made; images serve other precisions too."""
    given = [flag for flag in options.differs() if flag != "--calib-images"]
    if precision in ("fp32", "fp16") and (given or calibration):
        flag = (*given, "--calibration")[0]
        raise click.UsageError(f"{flag} says how INT8 is made: give --int8 too")


set_option = click.option(
    "--set",
    "settings",
    type=Settings(),
    multiple=True,
    callback=lambda ctx, param, value: dict(value),
    help="An option of the model, such as activation=relu; may be repeated. `toolkit summary MODEL` lists them.",
)


def told_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say what a model from elsewhere takes and gives; the command gets them as one, `told`."""

    @wraps(function)
    def gather(*given: Any, **values: Any) -> Any:
        from toolkit.foreign.spec import Told, read_spec

        told = {name: values.pop(name) for name in Told.__dataclass_fields__}
        spec = read_spec(told["spec"]) if told["spec"] else None
        return function(*given, told=Told(**{**told, "spec": spec}), **values)

    return combine(
        click.option("--input-size", type=InputSize(), metavar="N|HxW", help="Height and width of what it takes."),
        click.option("--color", type=click.Choice(("rgb", "bgr", "gray")), help="Its channels.  [default: rgb]"),
        click.option(
            "--mean",
            type=Numbers(),
            metavar="A,B,C",
            help="Of pixel / 255, in the order of --color, taken off.  [default: 0]",
        ),
        click.option("--std", type=Numbers(), metavar="A,B,C", help="The same, divided by.  [default: 1]"),
        click.option(
            "--crop-pct",
            type=FiniteRange(0, 1, min_open=True),
            metavar="SHARE",
            help="The share of an image's shorter side that it sees, such as 0.875.  [default: 1]",
        ),
        click.option("--labels", type=FILE, help="A text file with the name of each class, a line each."),
        click.option(
            "--output-kind",
            type=click.Choice(("logits", "probabilities")),
            help="What it gives.  [default: found out by running it]",
        ),
        click.option("--output-name", metavar="NAME", help="Which of several answers: a key, an attribute or a place."),
        click.option("--spec", type=FILE, help="A TOML file with the whole ModelSpec, in place of all these."),
    )(gather)


def nothing_told() -> Told:
    """Where a command line says nothing of a model from elsewhere."""
    from toolkit.foreign.spec import Told

    return Told()


@dataclass(frozen=True)
class ModelChoice:
    """What the command line says of a model, beside its name.

    Attributes:
        settings: options as text, by name.
        weights: a file, or the name of one that can be downloaded; None takes what ships.
        random_weights: take none.
        told: of a model from elsewhere, what it takes and gives.
    """

    settings: dict[str, str] = field(default_factory=dict)
    weights: str | None = None
    random_weights: bool = False
    told: Told = field(default_factory=nothing_told)


model_options = as_one(
    "chosen",
    ModelChoice,
    set_option,
    click.option(
        "--weights",
        type=WeightsType(),
        help="A safetensors or .pth file; for alexnet-owt also `torchvision`, which is downloaded.  "
        "[default: the model's own]",
    ),
    click.option("--random-weights", is_flag=True, help="Take no weights: for timing, not for answers."),
    told_options,
)


batch_option = click.option(
    "--batch", type=BatchRangeType(), help="Batch sizes to serve: smallest, best (timed), largest.  [default: 1:1:32]"
)


calibration_options = as_one(
    "calib_options",
    CalibrationOptions,
    click.option(
        "--calib-images",
        "images",
        type=ImageCount(min=1),
        metavar="N|auto",
        help="Take N images to calibrate with, evenly spaced; a quarter is held out. auto takes as many as "
        f"thresholds need to settle, {MOST_CALIB_IMAGES} at most.  [default: {CALIB_IMAGES}]",
    ),
    click.option(
        "--method",
        type=click.Choice(get_args(RequestedMethod)),
        help="How INT8 thresholds are found; auto compares all on the quarter held out.  [default: auto]",
    ),
    click.option(
        "--reduce-range/--full-range",
        default=None,
        help="Keep INT8 weights to 7 bits, for CPUs without VNNI.  [default: where an engine of this machine needs it]",
    ),
    click.option(
        "--rounding",
        type=click.Choice(get_args(Rounding)),
        default="feedback",
        help="Round each INT8 weight to make up for those before it, where that helps on the quarter held out, or "
        "to the nearest.  [default: feedback]",
    ),
    click.option(
        "--correct-biases/--keep-biases",
        default=True,
        help="Take what INT8 does to the mean of a layer's outputs off its bias, where that helps on the quarter "
        "held out.  [default: correct]",
    ),
    click.option(
        "--clip-weights", is_flag=True, help="Clip INT8 weights where that makes their squared error smallest."
    ),
)


calibration_file_option = click.option(
    "--calibration",
    type=FILE,
    help="Take INT8 thresholds from a calibration.json that `toolkit calibrate` wrote for this model; --method picks "
    "another method's.",
)


def tensorrt_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of TensorRT's builder; the command gets them as one, `tensorrt`."""

    @wraps(function)
    def gather(*given: Any, **values: Any) -> Any:
        from runtime.backends.tensorrt.options import TensorRtOptions

        names = TensorRtOptions.__dataclass_fields__
        chosen = TensorRtOptions(**{name: values.pop(name) for name in names})
        if chosen != TensorRtOptions(verbose=chosen.verbose) and not values["target"].startswith("tensorrt"):
            option = next(name for name in names if getattr(chosen, name) != getattr(TensorRtOptions(), name))
            flag = "--compute-capability" if option == "compute_capabilities" else "--" + option.replace("_", "-")
            flag = "--workspace" if option == "workspace_mib" else flag
            raise click.UsageError(f"{flag} is for --target tensorrt or tensorrt-rtx")
        return function(*given, tensorrt=chosen, **values)

    return combine(
        click.option(
            "--workspace",
            "workspace_mib",
            type=click.IntRange(1, 1 << 20),
            metavar="MIB",
            help="TensorRT: device memory that a layer may use while it runs.  [default: most of what is free]",
        ),
        click.option(
            "--optimization-level",
            type=click.IntRange(0, 5),
            help="TensorRT: 0 builds fastest, 5 runs fastest.  [default: TensorRT's own, 3]",
        ),
        click.option("--version-compatible", is_flag=True, help="TensorRT: newer versions can run the plan (--trust)."),
        click.option(
            "--hardware-compatible",
            type=click.Choice(("ampere+", "same-cc")),
            help="TensorRT: other GPUs can run the plan, from Ampere on or of the same compute capability.",
        ),
        click.option("--strip-weights", is_flag=True, help="TensorRT: a plan without weights; model.onnx has them."),
        click.option(
            "--compute-capability",
            "compute_capabilities",
            type=Capabilities(),
            default=(),
            metavar="A,B",
            help="TensorRT for RTX: the GPUs to build for, such as 8.6,8.9.  [default: the one here, or else 8.6]",
        ),
        click.option("-v", "--verbose", is_flag=True, help="Show every warning of TensorRT."),
    )(gather)
