"""`toolkit summary FILE.onnx`: what a file takes and gives, and its layers, on graphs whose figures are known."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from export.own_spec import with_own_spec
from tests.command import assert_clean_failure, toolkit, without_packages
from tests.hostile.corpus import CASES
from tests.tiny import make_spec
from tests.toolkit.foreign import graphs
from toolkit.commands.summary import show_file
from toolkit.onnx_summary import OnnxLayer, OnnxSummary, OnnxTensor, summarize_onnx

SPEC = make_spec()
DATA = Path(__file__).resolve().parents[1] / "data"
HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'


def summarize(model: onnx.ModelProto, folder: Path) -> OnnxSummary:
    onnx.save(model, folder / "net.onnx")
    return summarize_onnx(folder / "net.onnx")


def by_name(summary: OnnxSummary) -> dict[str, OnnxLayer]:
    return {layer.name: layer for layer in summary.layers}


def test_a_graph_by_hand(tmp_path: Path) -> None:
    summary = summarize(graphs.of_2018(), tmp_path)
    assert summary.inputs == (OnnxTensor("data", "float32", (1, 3, 32, 32)),)  # though weights are inputs too in IR 3
    assert summary.outputs == (OnnxTensor("prob", "float32", (1, 10)),)
    assert (summary.opsets, summary.ir_version, summary.spec) == ({"ai.onnx": 7}, 3, None)
    assert [(layer.operation, layer.output, layer.parameters, layer.macs) for layer in summary.layers] == [
        ("Conv 3x3/2, pad 1", (1, 8, 16, 16), 8 * 27 + 8, 8 * 16 * 16 * 27),
        ("Relu", (1, 8, 16, 16), 0, 0),
        ("LRN", (1, 8, 16, 16), 0, 0),
        ("Conv 3x3, pad 1", (1, 8, 16, 16), 8 * 72 + 8, 8 * 16 * 16 * 72),
        ("Sum", (1, 8, 16, 16), 0, 0),
        ("MaxPool 2x2/2", (1, 8, 8, 8), 0, 0),
        ("Reshape", (1, 512), 0, 0),  # its shape is no parameter
        ("Dropout", (1, 512), 0, 0),
        ("Gemm", (1, 10), 5130, 5120),
        ("Softmax", (1, 10), 0, 0),
    ]
    assert (summary.parameters, summary.macs) == (224 + 584 + 5130, 55_296 + 147_456 + 5120)
    assert summary.weight_bytes == {"float32": 4 * 5938, "int64": 16}
    assert summary.nodes["Conv"] == 2


def test_groups_and_transposed_convolutions(tmp_path: Path) -> None:
    layer = by_name(summarize(graphs.of_parts(), tmp_path))
    assert layer["Conv_depthwise"].operation == "Conv 3x3, pad 1, groups 8"
    assert layer["Conv_grouped"].macs == 8 * 16 * 16 * 4 * 9
    assert (layer["ConvTranspose_up"].operation, layer["ConvTranspose_up"].macs) == (
        "ConvTranspose 2x2/2", 8 * 16 * 16 * 4 * 4
    )  # fmt: skip


def test_every_head_of_attention_counts(tmp_path: Path) -> None:
    summary = summarize(graphs.of_vision(), tmp_path)
    assert by_name(summary)["MatMul_scores"].macs == 2 * 17 * 17 * 4
    assert summary.macs == 8 * 16 * 48 + 17 * 8 * 24 + 2 * (2 * 17 * 17 * 4) + 5 * 8


def test_an_open_batch_is_one_and_keeps_its_name_where_sizes_are_computed_too(tmp_path: Path) -> None:
    summary = summarize(graphs.of_computed_shapes(), tmp_path)
    assert summary.inputs[0].shape == ("N", 1, 8, 8)
    assert [value.shape for value in summary.outputs] == [("N", 6), ("N", 256)]
    assert by_name(summary)["MatMul_product"].output == (1, 6)
    assert summary.macs == 4 * 64 * 9 + 256 * 6


def test_a_fixed_batch_is_counted_whole(tmp_path: Path) -> None:
    assert summarize(graphs.of_four(), tmp_path).macs == 4 * (4 * 64 * 27 + 256 * 3)


def test_what_quantizes_belongs_to_the_layer(tmp_path: Path) -> None:
    quantized, plain = (summarize_onnx(DATA / f"tiny-{kind}.onnx") for kind in ("int8", "fp32"))
    assert "QuantizeLinear" in quantized.nodes
    assert not any("quantize" in layer.operation.lower() for layer in quantized.layers)
    assert quantized.parameters == plain.parameters > 0
    assert quantized.macs == plain.macs > 0
    types = {layer.type for layer in quantized.layers if layer.macs}
    assert types == {"int8"}
    assert {layer.type for layer in plain.layers if layer.macs} == {"float32"}
    half = summarize(graphs.of_quantized(), tmp_path)  # its activation alone is quantized
    assert by_name(half)["Conv_conv"].type == "float32"


def test_sizes_that_are_open_leave_figures_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[N,3,height,width] x) => (y)
    <float[2,3,1,1] w = {1,2,3,4,5,6}> { c = Conv(x, w) p = NonZero(c) y = Cast<to = 1>(p) }"""
    summary = summarize(onnx.parser.parse_model(HEADER + text), tmp_path)
    named = by_name(summary)
    assert summary.outputs == (OnnxTensor("y", None, None),)
    assert (named["c"].output, named["c"].macs, named["c"].parameters) == ((1, 2, None, None), None, 6)
    assert named["y"].output == (4, None)
    assert summary.macs is None
    show_file(summary)
    out = capsys.readouterr().out
    for word in ("N x 3 x height x width", "1 x 2 x ? x ?", "4 x ?", "- in MACs"):
        assert word in out


def test_what_multiplies_uncounted_has_no_figure(tmp_path: Path) -> None:
    text = """g (float[1,2,3] x, float[1,3,2] z) => (float[1,2,2] y) { y = Einsum<equation = "bij,bjk->bik">(x, z) }"""
    summary = summarize(onnx.parser.parse_model(HEADER + text), tmp_path)
    assert (summary.layers[0].macs, summary.macs, summary.layers[0].output) == (None, None, (1, 2, 2))


def test_shared_weights_are_counted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}> { a = MatMul(x, w) y = MatMul(a, w) }"""
    summary = summarize(onnx.parser.parse_model(HEADER + text), tmp_path)
    assert [(layer.parameters, layer.macs, layer.shared_with) for layer in summary.layers] == [
        (4, 4, None),
        (0, 4, "a"),
    ]
    show_file(summary)
    assert "share parameters with a layer before them, and count them there: y\n" in capsys.readouterr().out


def test_a_graph_that_contradicts_itself_has_no_shapes(tmp_path: Path) -> None:
    text = """g (float[1,2] x) => (float[1,2] y) <float[3,2] w = {1,2,3,4,5,6}> { a = Relu(x) y = MatMul(a, w) }"""
    summary = summarize(onnx.parser.parse_model(HEADER + text), tmp_path)
    assert (summary.layers[1].output, summary.layers[1].macs, summary.parameters) == (None, None, 6)


def test_weights_beside_the_file(tmp_path: Path) -> None:
    whole = summarize(graphs.of_four(), tmp_path)
    onnx.save(graphs.of_four(), tmp_path / "apart.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    apart = summarize_onnx(tmp_path / "apart.onnx")
    assert (apart.layers, apart.weight_bytes) == (whole.layers, whole.weight_bytes)


class TestCommand:
    def test_without_pytorch(self, tmp_path: Path) -> None:
        (tmp_path / "net.onnx").write_bytes(with_own_spec(DATA / "tiny-fp32.onnx", SPEC))
        path = without_packages(tmp_path, "torch")
        done = toolkit("summary", "net.onnx", cwd=tmp_path, PYTHONPATH=path)
        assert (done.returncode, done.stderr) == (0, "")
        for word in ("input", "uint8", "opset: ai.onnx", "Gemm", "total", "spec inside", f"{SPEC.classes} classes"):
            assert word in done.stdout

    def test_json_is_as_its_schema_says(self, tmp_path: Path) -> None:
        (tmp_path / "net.onnx").write_bytes(with_own_spec(DATA / "tiny-int8.onnx", SPEC))
        result = json.loads(toolkit("summary", "net.onnx", "--json", cwd=tmp_path).stdout)
        assert (result["model"], result["spec"]["name"]) == ("net.onnx", SPEC.name)
        assert result["macs"] == sum(layer["macs"] for layer in result["layers"])

    @pytest.mark.parametrize("name", ["truncated", "random_bytes", "empty", "external_missing", "external_up"])
    def test_what_is_none_is_refused(self, name: str, tmp_path: Path) -> None:
        case = next(case for case in CASES if case.name == name)
        case.make(tmp_path)
        assert_clean_failure(toolkit("summary", "model.onnx", cwd=tmp_path), "model.onnx", *case.words)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert_clean_failure(toolkit("summary", "net.onnx", cwd=tmp_path), "cannot read net.onnx")

    def test_nothing_is_told_of_a_file(self, tmp_path: Path) -> None:
        for flags in (("--input-size", 8), ("--set", "a=b")):
            done = toolkit("summary", "net.onnx", *flags, cwd=tmp_path)
            assert done.returncode == 2
            assert f"{flags[0]} does not go with an ONNX file" in done.stderr
