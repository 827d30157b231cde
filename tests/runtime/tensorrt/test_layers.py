"""The type that each layer executes in, from both places that tell."""

from __future__ import annotations

import json

from runtime.backends.tensorrt.layers import count_reformats, executed, from_inspector, from_log

# As TensorRT for RTX 1.7.1 logged them, shortened.
TENSOR = (
    "{{ Name: t, Dimensions: [-1,8], Strides: [8,1], StrideOrder: [1,0], Datatype: {}, Format: (Linear) Row major }}"
)
LINE = (
    "Name: {}, LayerType: {}, Inputs: [ {} ], Constants: [ {} ], Outputs: [ {} ], TacticName: , StreamId: 0, "
    "Metadata: {}"
)


def line(name: str, kind: str, reads: str, *nodes: str) -> str:
    metadata = "".join(f"[ONNX Layer: {node}]" for node in nodes)
    given, weights, made = (TENSOR.format(held) for held in (reads, "Int8", "Float"))
    return LINE.format(name, kind, given, weights, made, metadata)


def test_the_layer_that_computes_a_node_tells_and_the_first_of_several() -> None:
    log = [
        "Layers:\n" + line("__myl_ReplConc_0", "kgen", "Float", "conv1"),
        line("conv1_myl0_2", "correlation", "Int8", "conv1", "conv1.weight/dequantize"),
        line("__myl_MulAdd_3", "kgen", "Half", "conv1", "relu"),
        line("conv1_again", "correlation", "Float", "conv1"),
        line("__myl_FcAddRelu_17", "runtime_fusion", "Half", "fc6", "relu_5"),
        line("pool_pooling_4", "maxpool", "Int8", "pool"),
        line("odd", "gemm", "Complex", "fc7"),
        "Name: nothing of the kind",
    ]
    types = executed(from_log(log))
    assert (types["conv1"], types["fc6"]) == ("int8", "fp16")
    assert types["__myl_MulAdd_3"] == "fp16"  # what else is executed in float16
    words = line("c", "CaskConvolution", "Float", "c").replace("Datatype: Float", "Format/Datatype: Two wide Int8 form")
    assert executed(from_log([words]))["c"] == "int8"
    assert "fc7" not in types and "relu" not in types and "pool" not in types
    assert executed(from_log([])) == executed(from_log(["Name: , LayerType"])) == {}


def test_the_inspector_tells_in_the_words_of_several_releases() -> None:
    def layer(name: str, kind: str, reads: dict[str, str], *nodes: str) -> dict[str, object]:
        metadata = "\x1e".join(f"[ONNX Layer: {node}]" for node in nodes)
        return {"Name": name, "LayerType": kind, "Inputs": [reads], "Metadata": metadata}

    layers = [
        layer(
            "conv1",
            "CaskConvolution",
            {"Format/Datatype": "Row major Int8 format"},
            "conv1",
        ),
        layer("Reformatting CopyNode for conv2", "Reformat", {"Format/Datatype": "Row major linear FP32"}, "conv2"),
        layer(
            "conv2",
            "CaskGemmConvolution",
            {"Format/Datatype": "Channel major FP16 format"},
            "conv2",
        ),
        layer("fc1", "gemm", {"Datatype": "Float", "Format": "(Linear)"}, "fc1"),
        # A convolution with its pool, as TensorRT fuses them in INT8.
        layer(
            "conv3 + relu3 + pool3", "CaskConvActPool", {"Format/Datatype": "Row major Int8 format"}, "conv3", "pool3"
        ),
        layer("pool4", "CaskPooling", {"Format/Datatype": "Row major Int8 format"}, "pool4"),
        layer("bf", "MatrixMultiply", {"Datatype": "BFloat16"}, "fc2"),
        "a layer without details",
    ]
    found = [*from_inspector(json.dumps({"Layers": layers}))]
    types = executed(found)
    assert count_reformats(found) == 1
    assert [types[name] for name in ("conv1", "conv2", "conv3", "fc1", "fc2")] == [
        "int8",
        "fp16",
        "int8",
        "fp32",
        "bf16",
    ]


def test_what_tells_nothing_is_nothing() -> None:
    for text in ("", "no JSON", "[]", "{}", '{"Layers": []}', '{"Layers": ["conv1", 3]}'):
        assert [*from_inspector(text)] == []
