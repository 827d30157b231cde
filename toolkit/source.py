"""The command line's names and folders to a `Source`. Imports PyTorch last, when everything else is in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from calibration.options import CalibrationOptions
from runtime.backend import get_backend
from runtime.cache import cache_folder
from runtime.datasets import ArrayDataset, Dataset, has_both_splits, open_dataset
from runtime.errors import DataError, WeightsError
from runtime.evaluate import require_classes
from runtime.progress import Progress
from runtime.spec import BatchRange
from toolkit import board
from toolkit.foreign.spec import refuse_told, refuse_untold
from toolkit.options import ModelChoice
from toolkit.zoo import ZOO, get_zoo_model
from toolkit.zoo.download import fetch

if TYPE_CHECKING:
    from runtime.spec import Precision
    from toolkit.graphs import Model, Source

NOISE_IMAGES = 64


@dataclass(frozen=True)
class SourceRequest:
    """What graphs are to be made from.

    Attributes:
        model: with its weights; without any, they are random.
        options: how to calibrate, and with how many images.
        data: the images; None takes the model's own, or noise for random weights.
        precision: that is wanted; None is a race.
        calibration: a calibration.json to take thresholds from, which must be made from the images that are named.
        max_drop: what INT8 may lose; None sets no limit.
        batch: sizes to serve; None is 1:1:32.
        targets: the backends that will run the graph.
        cache_dir: where calibrations are kept; None is the user's cache folder.
    """

    model: Model
    options: CalibrationOptions
    data: Path | None = None
    precision: Precision | None = None
    calibration: Path | None = None
    max_drop: float | None = None
    batch: BatchRange | None = None
    targets: Sequence[str] = ()
    cache_dir: Path | None = None


def make_source(request: SourceRequest, progress: Progress) -> Source:
    """Open the images, then load PyTorch.

    Raises:
        UsageError: there are no images, and they matter.
        DataError: the images or the calibration cannot be read.
    """
    pool = open_calib_data(request.model, request.data, request.precision)
    if request.calibration:
        from calibration.record import read_calibration

        read_calibration(request.calibration)  # before the work, that it is one
    with progress.stage("load PyTorch"):
        from toolkit.graphs import Source

    options = request.options
    overflows = any(get_backend(target).overflows() for target in request.targets)
    return Source(
        request.model,
        pool,
        options,
        request.batch or BatchRange(),
        overflows if options.reduce_range is None else options.reduce_range,
        cache_folder(request.cache_dir),
        calibration=request.calibration,
        images_named=request.data is not None or options.images is not None,
        max_drop=request.max_drop,
    )


def resolve_model(name: str, chosen: ModelChoice, cache_dir: Path | None, progress: Progress) -> Model:
    """The model that a command line names: an ONNX file, `module:factory`, or one of the zoo.

    Args:
        name: of the model.
        chosen: what else is said of it.
        cache_dir: where a download is kept; None is the user's cache folder.
        progress: told of a download.

    Raises:
        ModelError: an unknown name, option or value.
        WeightsError: there are no weights, or they do not fit.
        ExportError: a model from elsewhere does not run.
    """
    settings, weights, random_weights, told = chosen.settings, chosen.weights, chosen.random_weights, chosen.told
    if random_weights and weights:
        raise click.UsageError("--random-weights and --weights exclude each other")
    if name.endswith(".onnx"):
        if settings or weights:
            raise click.UsageError(f"{'--set' if settings else '--weights'} does not go with an ONNX file")
        with progress.stage("load ONNX"):
            from export.onnx_source import bytes_on_disk
            from runtime.backends.onnxruntime import onnxruntime
            from toolkit.foreign.onnx import open_onnx
            from toolkit.guard import guard

            onnxruntime()  # loads its libraries before memory is limited
        with guard(name, bytes_on_disk(Path(name))):
            return open_onnx(Path(name), random_weights, told)
    if ":" in name:
        refuse_untold(told)
        with progress.stage("load PyTorch"):
            from toolkit.foreign.module import open_module

        with board.saying("about", name):
            return open_module(name, settings, Path(weights) if weights else None, random_weights, told)
    model = get_zoo_model(name)
    refuse_told(told, f"{name} of the zoo")
    model = model.with_options(settings)
    if random_weights:
        return replace(model, weights=None)
    if weights is not None and weights in model.downloads:
        return model.with_weights(download(model.downloads[weights], cache_dir, progress))
    if weights:
        theirs = [other.name for other in ZOO.values() if weights in other.downloads]
        if theirs and not Path(weights).exists():
            raise WeightsError(f"--weights {weights} is for {' or '.join(theirs)}, not for {name}", "give a file")
        return model.with_weights(Path(weights))
    if model.weights is None:
        known = " or ".join(f"--weights {name}" for name in ("FILE", *model.downloads))
        what = f"{model.name} with these options" if settings else model.name
        raise WeightsError(f"no weights of {what} ship", f"give {known}, or --random-weights to time it")
    return model.with_weights(model.weights)


def download(url: str, cache_dir: Path | None, progress: Progress) -> Path:
    """Weights that others publish, from the cache folder where they are there."""
    folder = cache_folder(cache_dir)
    if folder is None:
        raise WeightsError(f"there is no folder to keep {url} in", "give one with --cache-dir")
    return fetch(url, folder / "weights", progress)


def open_calib_data(model: Model, folder: Path | None, precision: Precision | None) -> Dataset:
    """The images to calibrate with: those of a folder, or the model's own; noise where they do not matter.

    Raises:
        UsageError: they do matter: weights that are not random, and thresholds or a race to be found.
    """
    folder = folder or model.data
    if folder:
        return open_dataset(folder, "train" if has_both_splits(folder) else None, model.spec.labels)
    if model.random or getattr(model, "quantized", False) or precision in ("fp32", "fp16"):
        height, width, channels = model.spec.image_shape
        shape = (height, width) if channels == 1 else (height, width, channels)
        noise = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, *shape), np.uint8)
        return ArrayDataset("noise", noise, None)
    raise click.UsageError(
        f"{model.name} brings no images: give --calib-data FOLDER, with some hundred pictures of what it will see"
    )


def open_eval_data(model: Model, folder: Path | None) -> Dataset | None:
    """The images to measure accuracy on: those of a folder, or the model's own; None where there are none.

    Raises:
        DataError: they cannot be read, or have other labels than the model has classes.
    """
    folder = folder or model.data
    if folder is None:
        return None
    found = open_dataset(folder, "test", model.spec.labels)
    require_classes(found, model.spec)
    return found


def require_apart(calibration: Dataset, evaluation: Dataset | None) -> None:
    """Refuse to evaluate on the very set that thresholds, methods and precisions are chosen on.

    Raises:
        DataError: both are the same, under one name or in copies of IDX files.
    """
    if evaluation is None:
        return
    copies = isinstance(calibration, ArrayDataset) and isinstance(evaluation, ArrayDataset)
    if calibration.name == evaluation.name or (copies and calibration.digest() == evaluation.digest()):
        raise DataError(
            f"{calibration.name} would be calibrated with and evaluated on",
            "give --calib-data and --eval-data that share no image: an accuracy on calibration images says little",
        )


def require_two_sets(folder: Path) -> None:
    """Refuse a folder that would serve both to calibrate and to evaluate.

    Raises:
        DataError: it does not hold two sets.
    """
    if not has_both_splits(folder):
        raise DataError(
            f"{folder} does not hold two sets of images",
            "--data needs train and t10k IDX files, or folders train and val; or give --calib-data and --eval-data",
        )
