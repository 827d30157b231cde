"""Engines and sessions over the stand-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.backend import EngineFile, EngineOptions
from runtime.backends.cuda import Cuda
from runtime.backends.tensorrt.engine import TensorRtEngine, open_engine
from runtime.session import Session
from runtime.spec import BatchRange
from tests.runtime.tensorrt.stand_in import Log, Plan, make_trt
from tests.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.tiny import CLASSES, expected_answers, make_images, make_spec, write_model


class Rig:
    """A stand-in's driver and module, and a plan of the tiny model.

    Args:
        folder: for the files.
        rtx: stand in for TensorRT for RTX.
        plan: what the plan says of itself.
        settings: of the driver.
    """

    def __init__(self, folder: Path, *, rtx: bool = False, plan: Plan | None = None, **settings: Any) -> None:
        self.cuda, self.log = StandInCuda(**settings), Log()
        self.trt = make_trt(self.cuda, rtx=rtx)
        self.model, self.path = folder / "model.onnx", folder / "engine.plan"
        write_model(self.model)
        (plan or Plan()).write(self.model, self.path)
        self.fingerprint: dict[str, str] = {}

    def open(self, batch: BatchRange | None = None, cuda: Cuda | None = None, **options: Any) -> TensorRtEngine:
        """Open the plan; `cuda` is an adapter over the driver in place of the driver itself."""
        file = EngineFile(self.path, self.fingerprint, None, self.model)
        settings = EngineOptions(batch=batch or BatchRange(), **options)
        return open_engine(self.trt, cuda or self.cuda, file, make_spec(), settings, self.log)

    def session(self, batch: BatchRange | None = None, **options: Any) -> Session:
        return Session(self.open(batch, **options), make_spec(), batch or BatchRange())


def answer(engine: TensorRtEngine, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    out = np.empty((len(images), CLASSES), np.float32)
    engine.run(images, out)
    return out


def check_answers(engine: TensorRtEngine, size: int, seed: int = 1) -> None:
    images = make_images(size, seed)
    np.testing.assert_allclose(answer(engine, images), expected_answers(images), atol=2e-5)
