"""The engine of the rules, with rules that are not there."""

from __future__ import annotations

import onnx

from export.rules import DEFAULT_RULES, apply_rules
from tests.export.graphs import in_bytes, op_types, parse

OUT = "float[batch,3,6,5] out"


class Rename:
    """Turns operators of one kind into another, but not those whose output is named."""

    def __init__(self, old: str, new: str, spared: tuple[str, ...] = ()) -> None:
        self.name = f"{old}_to_{new}"
        self.old, self.new, self.spared = old, new, spared

    def pattern(self, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
        return [node for node in graph.node if node.op_type == self.old]

    def check(self, graph: onnx.GraphProto, match: onnx.NodeProto) -> str:
        return f"{match.output[0]} is spared" if match.output[0] in self.spared else ""

    def rewrite(self, graph: onnx.GraphProto, match: onnx.NodeProto) -> None:
        match.op_type = self.new


def chain() -> onnx.ModelProto:
    return parse("a = Relu (image) b = Relu (a) out = Abs (b)", OUT)


def test_the_rules_that_ship_are_fixed_and_have_names_of_their_own() -> None:
    assert isinstance(DEFAULT_RULES, tuple)
    names = [rule.name for rule in DEFAULT_RULES]
    assert names and len(set(names)) == len(names)
    assert [row[0] for row in apply_rules(chain())] == names


def test_the_report_has_a_row_for_each_rule_in_order() -> None:
    model = chain()
    rules = (Rename("Relu", "Abs"), Rename("Neg", "Exp"))
    assert apply_rules(model, rules) == (("Relu_to_Abs", 2, ""), ("Neg_to_Exp", 0, ""))
    assert op_types(model) == ["Abs", "Abs", "Abs"]


def test_a_rule_sees_what_the_one_before_it_left() -> None:
    model = chain()
    rules = (Rename("Relu", "Neg"), Rename("Neg", "Exp"))
    assert apply_rules(model, rules) == (("Relu_to_Neg", 2, ""), ("Neg_to_Exp", 2, ""))
    assert op_types(model) == ["Exp", "Exp", "Abs"]


def test_a_match_that_does_not_fit_leaves_its_reason_and_the_others_are_rewritten() -> None:
    model = chain()
    assert apply_rules(model, (Rename("Relu", "Neg", ("a",)),)) == (("Relu_to_Neg", 1, "a is spared"),)
    assert op_types(model) == ["Relu", "Neg", "Abs"]


def test_without_rules_nothing_happens() -> None:
    model = chain()
    before = in_bytes(model)
    assert apply_rules(model, ()) == ()
    assert in_bytes(model) == before
