"""Calibrations that are kept: reused where all that they were made from is the same; else it is said what changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
from msgspec import structs

from calibration.calibration import CalibrationRequest, calibrate, digests_of, with_fitted_layers
from calibration.record import SCHEMA_VERSION, Calibration, of_method, parse_calibration, read_calibration
from export.reference import reference_version
from runtime import canonical
from runtime.cache import read_entry, write_entry
from runtime.errors import DataError
from runtime.progress import Progress

ALGORITHM = 4  # of thresholds: one more wherever the same images would give others


def cached_calibration(request: CalibrationRequest, cache_dir: Path | None, progress: Progress) -> Calibration:
    """`calibrate`, or what it gave the last time.

    A calibration is kept under the model's name and the digest of all that it was made from. Where there is none, or it
    is damaged, it is made again.

    Args:
        request: what to calibrate.
        cache_dir: the cache folder; None keeps nothing.
        progress: told whether one is reused, or what changed.
    """
    if cache_dir is None:
        return calibrate(request, progress)
    folder = cache_dir / "calibrations"
    wanted = made_from(request)
    settings = repr(replace(request.options, images="auto" if request.options.images == "auto" else None))
    others = [settings, f"{SCHEMA_VERSION} {ALGORITHM} {reference_version()}", *request.plan.tensors]
    path = folder / f"{request.spec.name}-{canonical.digest([wanted, others])}"
    with progress.stage("look for a calibration", None) as stage:
        found = read_calibration_entry(path)
        if found:
            stage.note(f"reused from {cache_dir}: graph, weights, images and method are the same")
            return found
        stage.note(f"none to reuse: {'the one in the cache is damaged' if path.exists() else changed(path, wanted)}")
    calibration = calibrate(request, progress)
    write_entry(path, canonical.to_bytes(calibration))
    return calibration


def given_calibration(
    path: Path, request: CalibrationRequest, progress: Progress, *, images_named: bool
) -> Calibration:
    """A calibration.json that fits a request; of the method that is asked for, `auto` being the file's own.

    Args:
        path: the file.
        request: what is to be calibrated. Weights have the range that it says.
        progress: told of every step.
        images_named: the images were named too, so that they have to be the file's.

    Raises:
        DataError: the file cannot be read, or was made from something else: it says what.
    """
    found, wanted = read_calibration(path), made_from(request)
    compared = ["the graph", "the weights", "the preprocessing", *(["the images"] if images_named else [])]
    differ = [what for what in compared if found.made_from[what] != wanted[what]]
    if not differ and not found.tensors.keys() >= set(request.plan.tensors):
        differ = ["the layers"]
    if differ:
        raise DataError(
            f"{path} does not fit {request.spec.name}: it was made from other things: {', '.join(differ)}",
            "calibrate again: without --calibration, or with `toolkit calibrate`",
        )
    method = found.method if request.options.requested == "auto" else request.options.requested
    tensors = found.tensors if method == found.method else of_method(found.tensors, method)
    taken = structs.replace(found, method=method, tensors=tensors, reduced_range=request.reduced_range)
    # Layers are fitted to one set of scales.
    return with_fitted_layers(request, taken, progress) if found.fitted and taken != found else taken


def made_from(request: CalibrationRequest) -> dict[str, str]:
    """What a calibration of this request will say that it was made from."""
    digests = digests_of(request, onnx.load(request.fp32_path))
    return {
        "the graph": digests["graph_digest"],
        "the weights": digests["weights_digest"],
        "the preprocessing": digests["preprocessing_digest"],
        "the images": digests["images_digest"],
        "the method": request.options.requested,
        "the range of weights": "reduced" if request.reduced_range else "full",
    }


def read_calibration_entry(path: Path, *, used: bool = True) -> Calibration | None:
    """A calibration that was kept; None where there is none, or it is damaged or of an older form."""
    data = read_entry(path, used=used)
    if data is None:
        return None
    try:
        return parse_calibration(data, path)
    except DataError:
        return None


def changed(path: Path, wanted: dict[str, str]) -> str:
    """What differs from the newest calibration that is kept of a model of this name."""
    name = path.name.rpartition("-")[0]
    others = [other for other in path.parent.glob("*") if other.name.rpartition("-")[0] == name]
    newest_first = (read_calibration_entry(other, used=False) for other in sorted(others, key=age))
    last = next(filter(None, newest_first), None)
    if last is None:
        return f"none of {name} in the cache yet"
    differ = [what for what, value in last.made_from.items() if wanted[what] != value]
    return f"the one in the cache differs in {' and '.join(differ) or 'how many images were enough, or a version'}"


def age(path: Path) -> float:
    """For sorting, the newest first; a file that has gone is the oldest."""
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0
