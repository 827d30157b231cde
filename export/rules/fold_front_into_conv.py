"""Fold the front's mean and standard deviation into the first convolution.

    Conv(Mul(Sub(x, mean), scale), w, b)   ->   Conv(Sub(x, 128), w', b')
    w' = w * scale        b' = b + sum over a channel's window of w' * (128 - mean)

x is a uint8 image, so x - 128 is a whole number in -128..127: an INT8 engine takes it as it is, and reads a quarter of
the bytes. Exact only without padding, since a padded border is 0 after normalization and would be 128 before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.front import FRONT_MEAN_OUTPUT, FRONT_OFFSET_OUTPUT
from export.graph import attribute, consumers, free_name, initializers, names_of, producers, replace_initializer

OFFSET = 128


@dataclass(frozen=True)
class Match:
    """The three nodes of the pattern."""

    offset: onnx.NodeProto
    scale: onnx.NodeProto
    conv: onnx.NodeProto


class FoldFrontIntoConv:
    """One rule: pattern, check, rewrite."""

    name = "fold_front_into_conv"

    def pattern(self, graph: onnx.GraphProto) -> list[Match]:
        """Find Sub, Mul and Conv in a row, the Sub being the front's."""
        made_by = producers(graph)
        matches = []
        for conv in graph.node:
            scale = made_by.get(conv.input[0]) if conv.op_type == "Conv" else None
            offset = made_by.get(scale.input[0]) if scale is not None and scale.op_type == "Mul" else None
            if scale is not None and offset is not None and offset.output[0] == FRONT_MEAN_OUTPUT:
                matches.append(Match(offset, scale, conv))
        return matches

    def check(self, model: onnx.ModelProto, match: Match) -> str:
        """Why the rule does not fit; empty where it does."""
        graph = model.graph
        used_by = consumers(graph)
        if len(used_by[match.offset.output[0]]) > 1 or len(used_by[match.scale.output[0]]) > 1:
            return "the normalized image is used elsewhere too"
        if any(attribute(match.conv, "pads", [])) or attribute(match.conv, "auto_pad", b"NOTSET") not in (
            b"NOTSET",
            b"VALID",
        ):
            return f"{match.conv.name} pads with zeros, which are not 0 before normalization"
        if attribute(match.conv, "group", 1) != 1:
            return f"{match.conv.name} has groups"
        constants = initializers(graph)
        if any(name not in constants for name in match.conv.input[1:]):
            return f"the weight of {match.conv.name} is not constant"
        return ""

    def rewrite(self, graph: onnx.GraphProto, match: Match) -> None:
        """Change the graph in place."""
        constants = initializers(graph)
        conv = match.conv
        weight = numpy_helper.to_array(constants[conv.input[1]])
        bias = numpy_helper.to_array(constants[conv.input[2]]) if len(conv.input) > 2 else np.zeros(len(weight))
        mean = numpy_helper.to_array(constants[match.offset.input[1]])
        scale = numpy_helper.to_array(constants[match.scale.input[1]])
        new_weight, new_bias = fold(weight, bias, mean.reshape(-1), scale.reshape(-1))

        if len(conv.input) < 3:
            conv.input.append("")
        used_by = consumers(graph)
        for index, (part, array) in enumerate((("weight", new_weight), ("bias", new_bias)), start=1):
            # Exporters keep equal constants once, such as the biases of zeros of many layers: this layer gets its own.
            if not conv.input[index] or len(used_by[conv.input[index]]) > 1:
                conv.input[index] = free_name(f"{conv.name}.{part}", names_of(graph))
                graph.initializer.append(numpy_helper.from_array(array, conv.input[index]))
            else:
                replace_initializer(graph, conv.input[index], array)
        graph.initializer.append(numpy_helper.from_array(np.array(OFFSET, np.float32), "front/128"))
        for name in (match.offset.input[1], match.scale.input[1]):
            graph.initializer.remove(constants[name])
        subtract = helper.make_node("Sub", [match.offset.input[0], "front/128"], [FRONT_OFFSET_OUTPUT], "front/offset")
        graph.node.insert(list(graph.node).index(match.offset), subtract)
        graph.node.remove(match.offset)
        graph.node.remove(match.scale)
        conv.input[0] = FRONT_OFFSET_OUTPUT


def fold(
    weight: NDArray[np.float32], bias: NDArray[np.floating], mean: NDArray[np.floating], scale: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The folded weight and bias, computed in float64.

    Args:
        weight: (out, in, kh, kw).
        bias: (out,).
        mean: (in,), in pixels.
        scale: (in,), 1 / (255 std).
    """
    scaled = weight.astype(np.float64) * scale.astype(np.float64)[None, :, None, None]
    shift = (scaled.sum(axis=(2, 3)) * (OFFSET - mean.astype(np.float64))).sum(axis=1)
    return scaled.astype(np.float32), (bias.astype(np.float64) + shift).astype(np.float32)
