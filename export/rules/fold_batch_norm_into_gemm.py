"""Fold a batch normalization that stands behind an activation into the dense layer that reads it.

    Gemm(Flatten(MaxPool(BatchNormalization(x))), w, b)   ->   Gemm(Flatten(MaxPool(x)), w', b')
    w' = w * s        b' = b + w t        with BatchNormalization(x) = s x + t for each channel

Flatten may be a Reshape that keeps one row for each image, and the pool may be missing. A pool takes the
largest value, which stays the largest only where s is positive. Into a convolution that pads with zeros the shift
cannot be folded: the border would have to be -t / s.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from export.graph import attribute, consumers, free_name, initializers, names_of, producers, replace_initializer
from export.skeleton import infer


@dataclass(frozen=True)
class Match:
    """The nodes of the pattern."""

    norm: onnx.NodeProto
    pool: onnx.NodeProto | None
    flatten: onnx.NodeProto
    gemm: onnx.NodeProto


class FoldBatchNormIntoGemm:
    """One rule: pattern, check, rewrite."""

    name = "fold_batch_norm_into_gemm"

    def pattern(self, graph: onnx.GraphProto) -> list[Match]:
        """Find BatchNormalization, perhaps MaxPool, Flatten or Reshape, and Gemm in a row."""
        made_by = producers(graph)
        matches = []
        for gemm in graph.node:
            flatten = made_by.get(gemm.input[0]) if gemm.op_type == "Gemm" else None
            if flatten is None or flatten.op_type not in ("Flatten", "Reshape"):
                continue
            pool = made_by.get(flatten.input[0])
            if pool is not None and pool.op_type != "MaxPool":
                pool = None
            norm = made_by.get((pool or flatten).input[0])
            if norm is not None and norm.op_type == "BatchNormalization":
                matches.append(Match(norm, pool, flatten, gemm))
        return matches

    def check(self, model: onnx.ModelProto, match: Match) -> str:
        """Why the rule does not fit; empty where it does."""
        graph = model.graph
        used_by, constants = consumers(graph), initializers(graph)
        chain = [node for node in (match.norm, match.pool, match.flatten) if node is not None]
        if any(len(used_by[output]) > 1 for node in chain for output in node.output if output):
            return f"what {match.norm.name} gives is used elsewhere too"
        if any(name not in constants for name in (*match.norm.input[1:], *match.gemm.input[1:])):
            return f"the weights of {match.norm.name} or {match.gemm.name} are not constant"
        if any(len(used_by[name]) > 1 for name in match.gemm.input[1:]):
            return f"the weight of {match.gemm.name} is used elsewhere too"
        if attribute(match.norm, "training_mode", 0):
            return f"{match.norm.name} is in training mode"
        if attribute(match.gemm, "transA", 0) or any(attribute(match.gemm, key, 1.0) != 1 for key in ("alpha", "beta")):
            return f"{match.gemm.name} scales or turns its input"
        scale, _ = affine(match.norm, constants)
        inputs = constants[match.gemm.input[1]].dims[1 if attribute(match.gemm, "transB", 0) else 0]
        if attribute(match.flatten, "axis", 1) != 1 or values_an_image(model, match) != inputs:
            return f"{match.gemm.name} does not read channel after channel"
        if match.pool is not None and (scale <= 0).any():
            return f"{match.norm.name} turns {int((scale <= 0).sum())} channels round before a pool"
        return ""

    def rewrite(self, graph: onnx.GraphProto, match: Match) -> None:
        """Change the graph in place."""
        constants = initializers(graph)
        gemm = match.gemm
        scale, shift = affine(match.norm, constants)
        turned = attribute(gemm, "transB", 0)
        weight = numpy_helper.to_array(constants[gemm.input[1]]).astype(np.float64)
        rows = weight if turned else weight.T  # (out, in)
        each = rows.shape[1] // len(scale)
        bias = numpy_helper.to_array(constants[gemm.input[2]]).astype(np.float64) if len(gemm.input) > 2 else 0.0
        new_bias = bias + rows @ np.repeat(shift, each)
        rows = rows * np.repeat(scale, each)
        replace_initializer(graph, gemm.input[1], (rows if turned else rows.T).astype(np.float32))
        if len(gemm.input) > 2:
            replace_initializer(graph, gemm.input[2], new_bias.astype(np.float32))
        else:
            gemm.input.append(free_name(f"{gemm.name}.bias", names_of(graph)))
            graph.initializer.append(numpy_helper.from_array(new_bias.astype(np.float32), gemm.input[2]))
        (match.pool or match.flatten).input[0] = match.norm.input[0]
        graph.node.remove(match.norm)
        used_by = consumers(graph)
        for name in match.norm.input[1:]:
            if not used_by[name] and name in constants:
                graph.initializer.remove(constants.pop(name))


def values_an_image(model: onnx.ModelProto, match: Match) -> int:
    """How many values of an image are flattened; 0 where that is not known. A Reshape may make several rows of them."""
    found = infer(model).get(match.flatten.input[0])
    sides = [side.dim_value for side in found.shape.dim[1:]] if found is not None else []
    return prod(sides) if sides else 0


def affine(
    norm: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and shift of each channel, float64 (C,)."""
    weight, bias, mean, variance = (
        numpy_helper.to_array(constants[name]).astype(np.float64) for name in norm.input[1:]
    )
    scale = weight / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
    return scale, bias - mean * scale
