"""The probe: a few inputs with the answers that every engine made from this graph should give. An engine proves itself.

The distance between two answers: log-probabilities floored at 1e-6, less their mean; the norm of the difference over
the norm of the expected one; the largest over the images. Top-1 counts only where the first two differ by more than the
limit of that norm.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import BundleCorruptError, SelfCheckError
from runtime.spec import ModelSpec, Precision

FLOOR = 1e-6
PROBE_IMAGES = 8
# Measured over both CPU backends with lenet; see docs/measurements.md.
LIMITS: dict[Precision, float] = {"fp32": 0.01, "fp16": 0.03, "int8": 0.1, "int8-fp16": 0.1}
OF_TWO_ROUNDINGS = 1.5  # as far apart as 1.3 were seen, of what one of them costs
MEMBERS = ("images", "expected", "fp32")
TOLERANCE = 1e-3  # by which a float softmax may exceed 1


@dataclass(frozen=True)
class Probe:
    """A few inputs with their answers, from ONNX Runtime with one thread.

    Attributes:
        images: uint8 (n, height, width, channels).
        expected: float32 (n, classes), what this bundle's graph gives.
        fp32: float32 (n, classes), what the FP32 graph gives.
    """

    images: NDArray[np.uint8]
    expected: NDArray[np.float32]
    fp32: NDArray[np.float32]

    def write(self, path: Path) -> None:
        """Write probe.npz: equal probes give equal bytes."""
        np.savez(path, images=self.images, expected=self.expected, fp32=self.fp32)

    @classmethod
    def read(cls, path: Path, spec: ModelSpec) -> Probe:
        """Read probe.npz. It may hold no pickles, and nothing compressed: so it is never larger than its file.

        Raises:
            BundleCorruptError: it is not a probe of this model.
        """
        try:
            members = read_members(path)
        except Exception as error:  # for a file that was made up, the readers of zip and npy raise nearly everything
            raise BundleCorruptError(f"{path} is not a probe: {error}", "build the bundle again") from error
        probe = cls(*members)
        count = len(probe.images) if probe.images.ndim else 0
        wanted = ((np.uint8, (count, *spec.image_shape)), *[(np.float32, (count, spec.classes))] * 2)
        if not count or any(
            array.dtype != dtype or array.shape != shape for array, (dtype, shape) in zip(members, wanted, strict=True)
        ):
            raise BundleCorruptError(f"{path} does not fit the model {spec.name}", "build the bundle again")
        if not all(answers.min() >= 0 and answers.max() <= 1 + TOLERANCE for answers in (probe.expected, probe.fp32)):
            raise BundleCorruptError(f"{path} holds answers that are no probabilities", "build the bundle again")
        return probe


def read_members(path: Path) -> list[NDArray[Any]]:
    """The three arrays of an archive, whatever their types and shapes."""
    with zipfile.ZipFile(path) as archive:
        arrays = []
        for name in MEMBERS:
            member = archive.getinfo(f"{name}.npy")
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{name} is compressed")
            with archive.open(member) as file:
                arrays.append(np.lib.format.read_array(file, allow_pickle=False))
        return arrays


@dataclass(frozen=True)
class ProbeCheck:
    """How a session answered a probe.

    Attributes:
        distance: the largest over the images.
        limit: the largest that is accepted.
        wrong: images whose class changed although it was not close.
    """

    distance: float
    limit: float
    wrong: int

    @property
    def ok(self) -> bool:
        return self.distance <= self.limit and self.wrong == 0

    def require(self, what: str) -> None:
        """Raise `SelfCheckError` unless the answers are right."""
        if not self.ok:
            raise SelfCheckError(
                f"{what} does not answer its probe as it should: distance {self.distance:.4f}, limit {self.limit:g}, "
                f"{self.wrong} images in another class",
                "do not use this engine; build it again on this machine, and report it if that does not help",
            )


class Answers(Protocol):
    """What can be asked: a `Session` mostly."""

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, classes), of images, uint8 (n, height, width, channels)."""
        ...


def check_probe(session: Answers, probe: Probe, limit: float) -> ProbeCheck:
    """Run a probe through a session."""
    answer = session.run(probe.images)
    wanted = centred_logs(probe.expected)
    gaps = np.ptp(np.sort(wanted, axis=1)[:, -2:], axis=1)
    clear = gaps > limit * np.linalg.norm(wanted, axis=1)
    wrong = int(np.sum(clear & (answer.argmax(1) != probe.expected.argmax(1))))
    return ProbeCheck(distance(answer, probe.expected), limit, wrong)


def limit_for(precision: Precision, probe: Probe) -> float:
    """How far an engine's answers may be from the graph's: that of the precision, or by what it costs this network.

    The engines round differently: in the last bit, which now and then moves a value by a step of INT8, and OpenVINO in
    half steps where it can. Two answers that stray as far from FP32's, each its own way, stray farther from each other.
    """
    return max(LIMITS[precision], round(OF_TWO_ROUNDINGS * distance(probe.expected, probe.fp32), 4))


def distance(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Between two answers, (n, classes): the largest over the images."""
    if not np.isfinite(actual).all():
        return float("inf")
    wanted = centred_logs(expected)
    difference = np.linalg.norm(centred_logs(actual) - wanted, axis=1)
    return float(np.max(difference / np.maximum(np.linalg.norm(wanted, axis=1), FLOOR)))


def centred_logs(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, classes) probabilities to log-probabilities, floored, less their mean over the classes."""
    logs = np.log(np.maximum(probabilities.astype(np.float64), FLOOR))
    with np.errstate(invalid="ignore"):  # an engine may answer infinity
        return np.asarray(logs - logs.mean(axis=1, keepdims=True))
