"""A graph that OpenVINO compiles for one size of the batch alone serves the others by several calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.backend import EngineFile, EngineOptions
from runtime.backends import openvino
from runtime.errors import BackendError
from runtime.session import session_on
from runtime.spec import BatchRange
from tests.tiny import expected_answers, make_images, make_spec, write_model


@pytest.mark.parametrize("best", [1, 3])
def test_every_number_of_images_is_answered_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best: int
) -> None:
    load = openvino.load_model

    def load_static(path: Path, spec: Any, options: Any, batch: int | None) -> Any:
        if batch is None:
            raise BackendError("no open sizes", "")
        return load(path, spec, options, batch)

    monkeypatch.setattr(openvino, "load_model", load_static)
    write_model(tmp_path / "model.onnx")
    file = EngineFile(tmp_path / "model.onnx", {}, None)
    with session_on("openvino", file, make_spec(), EngineOptions(batch=BatchRange(1, best, 8))) as session:
        for count in (1, 2, 3, 7, 8):
            images = make_images(count)
            np.testing.assert_allclose(session.run(images), expected_answers(images), atol=1e-5)
