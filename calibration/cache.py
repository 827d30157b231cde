"""Calibrations that are kept: reused where graph, images and method are the same; otherwise it is said what changed."""

from __future__ import annotations

from pathlib import Path

from calibration.calibration import Calibration, CalibrationRequest, calibrate, parse_calibration
from export.reference import reference_version
from runtime import canonical
from runtime.cache import read_entry, write_entry
from runtime.errors import DataError
from runtime.progress import Progress

ALGORITHM = 1  # of thresholds: one more wherever the same images would give others


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
    made_from = {
        "the graph": canonical.digest_file(request.fp32_path),
        "the images": request.dataset.digest(),
        "the method": request.method,
        "the range of weights": "reduced" if request.reduced_range else "full",
        "the preprocessing": canonical.digest(request.spec.preprocess),
        "the layers": canonical.digest(request.plan.tensors),
        "the versions": f"{ALGORITHM} {reference_version()}",
    }
    path = folder / f"{request.spec.name}-{canonical.digest(made_from)}"
    with progress.stage("look for a calibration", None) as stage:
        found = read_calibration_entry(path)
        if found:
            stage.note(f"reused from {cache_dir}: graph, images and method are the same")
            return found
        stage.note(f"none to reuse: {'the one in the cache is damaged' if path.exists() else changed(path, made_from)}")
    calibration = calibrate(request, progress)
    write_entry(path, canonical.to_bytes(calibration))
    return calibration


def read_calibration_entry(path: Path, *, used: bool = True) -> Calibration | None:
    """A calibration that was kept; None where there is none, or it is damaged or of an older form."""
    data = read_entry(path, used=used)
    if data is None:
        return None
    try:
        return parse_calibration(data, path)
    except DataError:
        return None


def changed(path: Path, made_from: dict[str, str]) -> str:
    """What differs from the newest calibration that is kept of a model of this name."""
    name = path.name.rpartition("-")[0]
    others = [other for other in path.parent.glob("*") if other.name.rpartition("-")[0] == name]
    newest_first = (read_calibration_entry(other, used=False) for other in sorted(others, key=age))
    last = next(filter(None, newest_first), None)
    if last is None:
        return f"none of {name} in the cache yet"
    then = {
        "the graph": last.model_digest,
        "the images": last.images_digest,
        "the method": last.requested,
        "the range of weights": "reduced" if last.reduced_range else "full",
    }
    differ = [what for what, value in then.items() if made_from[what] != value]
    others_differ = "the preprocessing, the layers, or a version"
    return f"the one in the cache differs in {' and '.join(differ) or others_differ}"


def age(path: Path) -> float:
    """For sorting, the newest first; a file that has gone is the oldest."""
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0
