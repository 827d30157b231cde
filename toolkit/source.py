"""The command line's names and folders to a `Source`. Imports PyTorch last, when everything else is in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.backend import get_backend
from runtime.cache import cache_folder
from runtime.datasets import ArrayDataset, Dataset, has_both_splits, open_dataset
from runtime.errors import DataError, WeightsError
from runtime.progress import Progress
from runtime.spec import BatchRange
from toolkit.options import CALIB_IMAGES
from toolkit.zoo import ZooModel

if TYPE_CHECKING:
    from calibration.calibration import RequestedMethod
    from toolkit.graphs import Source


def make_source(
    model: ZooModel,
    weights: Path | None,
    calib_folder: Path | None,
    calib_images: int | None,
    method: RequestedMethod | None,
    batch: BatchRange | None,
    reduce_range: bool | None,
    targets: Sequence[str],
    cache_dir: Path | None,
    progress: Progress,
) -> Source:
    """What graphs are made from.

    Args:
        model: of the zoo.
        weights: None takes the model's own.
        calib_folder: images to calibrate with; None takes the model's own.
        calib_images: how many of them; None takes `CALIB_IMAGES`.
        method: None is `auto`.
        batch: None is 1:1:32.
        reduce_range: of INT8 weights; None does what the targets need on this machine.
        targets: the backends that will run the graph.
        cache_dir: where calibrations are kept; None is the user's cache folder.
        progress: told that PyTorch is loaded.
    """
    folder = calib_folder or model.data
    if folder is None:
        raise click.UsageError(f"{model.name} brings no images: give --calib-data FOLDER")
    pool = open_dataset(folder, "train" if has_both_splits(folder) else None, model.spec.labels)
    if weights is not None and not weights.exists():
        raise WeightsError(f"cannot read the weights {weights}: no such file", "give a safetensors file")
    with progress.stage("load PyTorch"):
        from toolkit.graphs import Source

    overflows = any(get_backend(target).overflows() for target in targets)
    reduced = overflows if reduce_range is None else reduce_range
    return Source(
        model,
        weights,
        pool,
        calib_images or CALIB_IMAGES,
        method or "auto",
        batch or BatchRange(),
        reduced,
        cache_folder(cache_dir),
    )


def open_eval_data(model: ZooModel, folder: Path | None) -> Dataset | None:
    """The images to measure accuracy on: those of a folder, or the model's own; None where there are none."""
    folder = folder or model.data
    return open_dataset(folder, "test", model.spec.labels) if folder else None


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
