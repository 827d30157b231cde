"""Graph rules: one file each, with a pattern, a check that says why it does not fit, and a rewrite.

They work on ONNX protos rather than through onnxscript's rewriter: each looks at two or three nodes and must keep the
names of layers and weights, by which the manifest and the calibration speak of them.
"""

from __future__ import annotations

from typing import Any, Protocol

import onnx

from export.rules.fold_batch_norm_into_gemm import FoldBatchNormIntoGemm
from export.rules.fold_front_into_conv import FoldFrontIntoConv


class Rule(Protocol):
    """What every rule has."""

    name: str

    def pattern(self, graph: onnx.GraphProto) -> list[Any]: ...

    def check(self, model: onnx.ModelProto, match: Any) -> str: ...

    def rewrite(self, graph: onnx.GraphProto, match: Any) -> None: ...


DEFAULT_RULES: tuple[Rule, ...] = (FoldFrontIntoConv(), FoldBatchNormIntoGemm())


def apply_rules(model: onnx.ModelProto, rules: tuple[Rule, ...] = DEFAULT_RULES) -> tuple[tuple[str, int, str], ...]:
    """Run rules in order, in place.

    Returns:
        For each rule its name, how often it was applied, and why it was not where it matched but did not fit.
    """
    report = []
    for rule in rules:
        count, reason = 0, ""
        for match in rule.pattern(model.graph):
            against = rule.check(model, match)
            if against:
                reason = against
            else:
                rule.rewrite(model.graph, match)
                count += 1
        report.append((rule.name, count, reason))
    return tuple(report)
