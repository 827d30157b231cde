"""An engine over the adapters themselves, whose packages are stood in for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.backends.cuda import Cuda
from runtime.backends.cuda.bindings import CudaBindings
from runtime.backends.cuda.pycuda import PyCuda
from runtime.spec import BatchRange
from tests.runtime.tensorrt.bridges import BindingsBridge, PyCudaBridge
from tests.runtime.tensorrt.rig import Rig, check_answers
from tests.runtime.tensorrt.test_cuda_bindings import ATTRIBUTES
from tests.tiny import CLASSES, make_images


def adapter(kind: str, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Cuda:
    if kind == "pycuda":
        return PyCuda(PyCudaBridge(rig.cuda), rig.cuda.pop)
    monkeypatch.setitem(ATTRIBUTES, "INTEGRATED", int(rig.cuda.gpus[0].integrated))
    return CudaBindings(BindingsBridge(rig.cuda))


@pytest.mark.parametrize("settings", [{}, {"integrated": True}, {"rtx": True}], ids=str)
@pytest.mark.parametrize("kind", ["cuda-python", "pycuda"])
def test_an_engine_runs_over_it(
    tmp_path: Path, kind: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, **settings)
    engine = rig.open(BatchRange(1, 1, 4), cuda=adapter(kind, rig, monkeypatch), cache_dir=tmp_path / "cache")
    for size in (1, 4, 2, 1, 4):
        check_answers(engine, size, seed=size)
    engine.time_parts(make_images(3), np.empty((3, CLASSES), np.float32))
    assert ("launch" in rig.cuda.calls) == (kind == "cuda-python")
    assert ("copy_to_device" in rig.cuda.calls) == ("integrated" not in settings)
    thread = threading.Thread(target=engine.close)
    thread.start()
    thread.join()
    rig.cuda.check()
