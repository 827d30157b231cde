"""Engines answer as ONNX Runtime does on the same graph."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from runtime.probe import check_probe
from runtime.session import Session
from runtime.spec import BatchRange, Precision
from tests.gpu.models import BATCH, COUNT, all_greys, tiny_spec, write_front, write_lrn
from tests.gpu.target import Target, part

pytestmark = pytest.mark.gpu

#: The smallest, the best and the largest; sizes between them; sizes that the session splits.
SIZES = (BATCH.smallest, BATCH.best, BATCH.largest, 3, 7, 11, 19, COUNT, 1)


@pytest.mark.parametrize("precision", get_args(Precision))
@pytest.mark.parametrize("model", ["lenet", "alexnet"])
def test_every_batch_size_is_answered_as_by_onnx_runtime(target: Target, model: str, precision: Precision) -> None:
    probe, limit = target.models[model].probes[precision]
    with target.session(model, precision) as session:
        for size in SIZES:
            # The last images, then the first ones: what an earlier call left in the buffers would be wrong.
            for start in (COUNT - size, 0):
                check = check_probe(session, part(probe, start, size), limit)
                check.require(f"{model} {precision} on {target.name}, {size} images from {start} on")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_session_pads_what_is_below_the_smallest_batch(target: Target, precision: Precision) -> None:
    probe, limit = target.models["lenet"].probes[precision]
    with target.session("lenet", precision, BatchRange(3, 4, 8)) as session:
        for size in (1, 2, 3, 8, 9, 10):
            check_probe(session, part(probe, 0, size), limit).require(f"{size} images, of which some are padding")


def test_no_image_is_no_answer(target: Target) -> None:
    with target.session("lenet", "fp32") as session:
        assert session.run(np.empty((0, *session.spec.image_shape), np.uint8)).shape == (0, session.spec.classes)


def test_local_response_normalization_is_onnx_s(target: Target, tmp_path: Path) -> None:
    """TensorRT has a layer of its own for it, whose constants could mean something else."""
    from export.reference import open_reference

    path, spec, images = tmp_path / "lrn.onnx", tiny_spec("lrn"), all_greys(COUNT)
    write_lrn(path)
    (expected,) = open_reference(path).run(None, {"image": images})
    with Session(target.open(target.compile(path, spec), spec), spec, BATCH) as session:
        np.testing.assert_allclose(session.run(images), expected, rtol=1e-4, atol=1e-4)
    plain = images.reshape(COUNT, -1).astype(np.float32)
    assert np.abs(expected / np.maximum(plain, 1) - 2**-0.75).max() > 0.1  # the squares matter


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_grey_value_passes_the_front_unchanged(target: Target, tmp_path: Path, precision: Precision) -> None:
    path, spec, images = tmp_path / "front.onnx", tiny_spec("front"), all_greys(COUNT)
    write_front(path, precision)
    assert len(np.unique(images[0])) == 256
    with Session(target.open(target.compile(path, spec, precision), spec), spec, BATCH) as session:
        answers = session.run(images)
    np.testing.assert_array_equal(answers, images.reshape(COUNT, -1).astype(np.float32) - 128)
