"""`Session`: the one way to run a model, whatever runs underneath. `open_session` opens a bundle as one."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from runtime.backend import (
    REFERENCE,
    Engine,
    EngineFile,
    EngineOptions,
    Parts,
    TimedEngine,
    available_cores,
    require_backend,
)
from runtime.bundle import PLAN, Bundle
from runtime.cache import cache_folder
from runtime.errors import BackendUnavailableError, InputError
from runtime.preprocess import Image, describe, image_for
from runtime.probe import check_probe
from runtime.spec import BatchRange, ModelSpec

MOST_THREADS = 256  # ONNX Runtime takes minutes to start some thousands


class Session:
    """A loaded model that checks what it is given.

    One thread at a time. A context manager; `close` may be called twice. It belongs to one process, and cannot be
    pickled: for several, start them by `spawn`, and open one in each. After a fork, OpenVINO may hang.

    Attributes:
        spec: what the model takes and gives.
        batch: the sizes that the engine serves; other sizes are split and padded here.
    """

    def __init__(self, engine: Engine, spec: ModelSpec, batch: BatchRange) -> None:
        self.spec = spec
        self.batch = batch
        self._engine: Engine | None = engine
        self._image_shape = spec.image_shape
        self._classes = spec.classes
        # Shapes that go straight to the engine: one dictionary look-up stands for every check.
        self._direct = {
            (n, *spec.image_shape): (n, spec.classes) for n in range(batch.smallest, min(batch.largest, 1024) + 1)
        }

    def run(self, images: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Answer a batch of images.

        Args:
            images: uint8 (N, height, width, channels) in 0..255, of the model's size; N may be 0.
            out: float32 (N, classes) to write into; left out, a fresh array is made.

        Returns:
            Probabilities, float32 (N, classes), each row adding up to 1. It is `out` where that was given.

        Raises:
            InputError: a wrong dtype or shape, or the session is closed.
        """
        engine = self._engine
        if (
            engine is not None
            and type(images) is np.ndarray
            and type(out) is np.ndarray
            and self._direct.get(images.shape) == out.shape
            and images.dtype == np.uint8
            and out.dtype == np.float32
            and images.flags.c_contiguous
            and out.flags.carray
        ):
            engine.run(images, out)
            return out
        return self._run_checked(images, out)

    def _run_checked(self, images: NDArray[np.uint8], out: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """`run` for what needs a check, a copy, a split or a pad."""
        if self._engine is None:
            raise InputError("the session is closed", "open another one with open_session")
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != self._image_shape:
            raise InputError(
                f"{self.spec.name} takes uint8 (N, {', '.join(map(str, self._image_shape))}), got {describe(images)}",
                "bring each image to the model's size with session.preprocess(image) and stack them",
            )
        shape = (len(images), self._classes)
        if out is None:
            out = np.empty(shape, np.float32)
        elif (
            not isinstance(out, np.ndarray)
            or out.dtype != np.float32
            or out.shape != shape
            or not out.flags.c_contiguous
            or not out.flags.writeable
        ):
            raise InputError(
                f"out must be float32 {shape}, C contiguous and writable, got {describe(out)}",
                "leave out away to get a fresh array",
            )
        for start in range(0, len(images), self.batch.largest):
            part = np.ascontiguousarray(images[start : start + self.batch.largest])
            self._run_part(self._engine, part, out[start : start + self.batch.largest])
        return out

    def _run_part(self, engine: Engine, part: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        missing = self.batch.smallest - len(part)
        if missing <= 0:
            engine.run(part, out)
            return
        padded = np.concatenate([part, np.zeros((missing, *self._image_shape), np.uint8)])
        answer = np.empty((len(padded), self._classes), np.float32)
        engine.run(padded, answer)
        out[...] = answer[: len(part)]

    def time_parts(self, images: NDArray[np.uint8], out: NDArray[np.float32]) -> Parts | None:
        """What one call spends its time on, where its engine can tell (on a GPU); None elsewhere.

        Args:
            images: uint8 (N, height, width, channels), N within the engine's batch sizes.
            out: float32 (N, classes), written in place.
        """
        if self._direct.get(images.shape) != out.shape or not isinstance(self._engine, TimedEngine):
            return None
        return self._engine.time_parts(images, out)

    def preprocess(self, image: Image) -> NDArray[np.uint8]:
        """Bring any uint8 image, (H, W) grey or (H, W, 3) RGB, to the model's (height, width, channels)."""
        return image_for(self.spec, image)

    def close(self) -> None:
        """Give the engine back."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_session(
    bundle: str | Path | Bundle,
    *,
    backend: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    cache_dir: str | Path | None = None,
    self_check: bool = False,
    trust: bool = False,
) -> Session:
    """Verify a bundle, load its model, and wrap it.

    Args:
        bundle: its folder, or the bundle itself.
        backend: `openvino` or `onnxruntime` runs the bundle's ONNX model with that; None runs the bundle's own engine.
        device: the backend's name of a device; None is its usual one.
        threads: for a CPU; None takes every core that this process may use.
        cache_dir: a folder for what the machine makes for itself, made if needed; None is the user's cache folder.
        self_check: run the bundle's probe first, and refuse an engine that answers otherwise.
        trust: allow engine files that run code of their own when they are loaded.

    Raises:
        BundleError: the bundle is not whole, or fails its probe.
        BackendError: the library is not installed, or refuses the model.
        CacheError: `cache_dir` cannot be made.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads is {threads}", f"give 1 to {MOST_THREADS}, or leave it out for every core")
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    name = backend or opened.manifest.target
    planned = name == opened.manifest.target and PLAN in opened.manifest.files
    options = EngineOptions(
        precision=opened.manifest.precision,
        batch=opened.manifest.batch,
        device=device,
        threads=threads or available_cores(),
        cache_dir=cache_folder(cache_dir),
        reduced_range=opened.manifest.reduced_range,
        trust=trust,
    )
    model = EngineFile(opened.model_path, {}, None)
    plan = EngineFile(opened.path / PLAN, opened.manifest.fingerprint, None, opened.model_path)
    try:
        loader = require_backend(name)
    except BackendUnavailableError as error:
        raise unavailable(opened, error) if planned else error from error
    session = Session(loader.load(plan if planned else model, opened.spec, options), opened.spec, options.batch)
    try:
        if self_check:
            check_probe(session, opened.probe, opened.manifest.probe.limit).require(f"{opened.path} on {name}")
    except BaseException:
        session.close()
        raise
    return session


def unavailable(bundle: Bundle, error: BackendUnavailableError) -> BackendUnavailableError:
    """What a plan was built for, why that is not here, and what can be done."""
    built = ", ".join(bundle.manifest.fingerprint.values())
    folder = shlex.quote(str(bundle.path))
    return BackendUnavailableError(
        f"{bundle.path} was built for {bundle.manifest.target} ({built}): {error.message}",
        f"{error.hint}; or build it for this machine: toolkit build {folder} -o OTHER; or run its graph as it is: "
        f"--backend {REFERENCE}",
    )


def session_on(backend: str, engine_file: EngineFile, spec: ModelSpec, options: EngineOptions) -> Session:
    """A session over an engine file that is not in a bundle yet."""
    return Session(require_backend(backend).load(engine_file, spec, options), spec, options.batch)
