"""Parity: the graph answers as PyTorch does, or there is no export."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.front import add_front
from export.head import add_softmax
from export.parity import answer, measure_parity, normalize
from runtime.errors import ExportError
from runtime.spec import ModelSpec
from tests.export.graphs import CHANNELS, HEIGHT, WIDTH, color_images, color_spec, normal, parse

PIXELS = HEIGHT * WIDTH * CHANNELS
WEIGHT, BIAS = normal(4, PIXELS), normal(4, seed=1)


class Linear(nn.Module):
    """One matrix, and perhaps a softmax."""

    def __init__(self, softmax: bool = False) -> None:
        super().__init__()
        self.fc = nn.Linear(PIXELS, 4)
        self.fc.load_state_dict({"weight": torch.from_numpy(WEIGHT.copy()), "bias": torch.from_numpy(BIAS.copy())})
        self.softmax = softmax

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(images.flatten(1))
        return logits.softmax(1) if self.softmax else logits


def linear_graph(spec: ModelSpec, weight: np.ndarray = WEIGHT) -> onnx.ModelProto:
    """The same, as an exported graph."""
    body = "flat = Flatten (image) logits = Gemm <transB=1> (flat, w, b)"
    if spec.output_kind == "probabilities":
        body += " probabilities = Softmax (logits)"
    model = parse(body, f"float[batch,4] {spec.output_kind}", w=weight, b=BIAS)
    add_front(model, spec)
    add_softmax(model, spec)
    return model


def damaged(amount: float) -> np.ndarray:
    weight = WEIGHT.copy()
    weight[2, 7] += amount
    return weight


def test_an_equal_graph_has_a_row_for_each_batch_also_of_more_images_than_there_are() -> None:
    spec = color_spec()
    rows = measure_parity(partial(answer, Linear(), spec), linear_graph(spec), spec, color_images(3), [1, 2, 7])
    assert [row.batch for row in rows] == [1, 2, 7]
    assert all(0 <= row.max_error < 1e-5 for row in rows)


def test_a_changed_weight_is_an_error_that_names_the_batch_and_the_tensor() -> None:
    spec = color_spec()
    with pytest.raises(ExportError) as caught:
        measure_parity(partial(answer, Linear(), spec), linear_graph(spec, damaged(3)), spec, color_images(5), [5, 1])
    assert "at batch 5 logits differ" in caught.value.message
    assert "more than 0.0001" in caught.value.message
    assert caught.value.hint


def test_what_differs_within_the_tolerance_is_reported_by_its_size() -> None:
    spec, images = color_spec(), color_images(4)
    (row,) = measure_parity(
        partial(answer, Linear(), spec), linear_graph(spec, damaged(0.01)), spec, images, [4], tolerance=1.0
    )
    flat = normalize(spec.preprocess, images).reshape(4, -1).astype(np.float64)
    expected = np.abs(0.01 * flat[:, 7]).max() / np.abs(flat @ WEIGHT.T + BIAS).max()
    assert row.max_error == pytest.approx(expected, rel=1e-2)
    assert row.tolerance == 1.0


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("also_in_pytorch", [False, True])
def test_answers_that_are_no_numbers_are_never_equal(broken: float, also_in_pytorch: bool) -> None:
    spec, module = color_spec(), Linear()
    if also_in_pytorch:
        with torch.no_grad():
            module.fc.weight[2, 7] = broken
    with pytest.raises(ExportError, match="at batch 1"), np.errstate(invalid="ignore"):
        measure_parity(
            partial(answer, module, spec),
            linear_graph(spec, damaged(broken)),
            spec,
            color_images(2),
            [1],
            tolerance=1.0,
        )


def test_a_model_of_probabilities_is_compared_by_them() -> None:
    spec = color_spec(output_kind="probabilities")
    module = Linear(softmax=True)
    (row,) = measure_parity(partial(answer, module, spec), linear_graph(spec), spec, color_images(3), [3])
    assert row.max_error < 1e-5
    with pytest.raises(ExportError, match="probabilities differ"):
        measure_parity(partial(answer, Linear(), spec), linear_graph(spec), spec, color_images(3), [3])


def test_what_a_model_prints_does_not_reach_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    class Chatty(Linear):
        def forward(self, images: Tensor) -> Tensor:
            print("hello")
            return super().forward(images)

    spec = color_spec()
    measure_parity(partial(answer, Chatty(), spec), linear_graph(spec), spec, color_images(1), [1])
    assert capsys.readouterr().out == ""


def test_the_mean_that_the_graph_subtracts_must_be_the_specs() -> None:
    spec = color_spec()
    model = linear_graph(spec)
    (mean,) = (entry for entry in model.graph.initializer if entry.name == "front/mean")
    mean.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(mean) + 1, "front/mean"))
    with pytest.raises(ExportError, match="at batch 2"):
        measure_parity(partial(answer, Linear(), spec), model, spec, color_images(2), [2])


def test_pytorch_takes_channels_first_in_units_of_the_standard_deviation() -> None:
    spec = color_spec()
    images = color_images(2)
    normalized = normalize(spec.preprocess, images)
    assert normalized.shape == (2, CHANNELS, HEIGHT, WIDTH)
    assert normalized.dtype == np.float32 and normalized.flags.c_contiguous
    for channel, (mean, std) in enumerate(zip(spec.preprocess.mean, spec.preprocess.std, strict=True)):
        expected = (images[..., channel] / 255 - mean) / std
        np.testing.assert_allclose(normalized[:, channel], expected, rtol=1e-5, atol=1e-6)


def test_what_strays_from_itself_when_its_input_is_rounded_is_held_to_that() -> None:
    spec = color_spec()
    exact = partial(answer, Linear(), spec)

    def jittery(images: np.ndarray) -> np.ndarray:
        """Off by up to 0.0003 of the largest answer, as the last bits of an image have it."""
        answers = exact(images)
        noise = np.sin(1e9 * images.reshape(len(images), -1).sum(1, dtype=np.float64))[:, None]
        return np.asarray(answers + 3e-4 * np.abs(answers).max() * noise, np.float32)

    images = color_images(8)
    (row,) = measure_parity(jittery, linear_graph(spec), spec, images, [8])
    assert 1e-4 < row.max_error <= row.tolerance < 1e-2
    with pytest.raises(ExportError, match="does not answer as the original does"):
        measure_parity(jittery, linear_graph(spec, damaged(0.5)), spec, images, [8])


def test_a_graph_that_has_kept_a_batch_is_told_where() -> None:
    """PyTorch's exporter takes `len(images)` for a number."""
    spec = color_spec()
    rows = np.array([2, PIXELS], np.int64)
    body = "flat = Reshape (image, rows) logits = Gemm <transB=1> (flat, w, b)"
    model = parse(body, "float[2,4] logits", rows=rows, w=WEIGHT, b=BIAS)
    model.graph.node[0].name = "view"
    add_front(model, spec)
    add_softmax(model, spec)
    with pytest.raises(
        ExportError, match=r"graph of net does not run at batch 1: its node 'view' \(Reshape\)"
    ) as caught:
        measure_parity(partial(answer, Linear(), spec), model, spec, color_images(2), [1, 2])
    assert "len(x)" in caught.value.hint
