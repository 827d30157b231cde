"""Which layer is which: by name, by order where that is beyond doubt, and else not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from calibration.layers import Layer
from calibration.matching import match_layers


def layer(name: str, operation: str = "Conv", shape: tuple[int, ...] = (8, 4, 4), weights: int = 3) -> Layer:
    return Layer(name, operation, f"{name}_out", (), (weights,), shape)


def names(a: list[Layer], b: list[Layer]) -> list[tuple[str, str]]:
    return [(one.name, other.name) for one, other in match_layers(a, b).pairs]


def reasons(a: list[Layer], b: list[Layer]) -> dict[tuple[str, str], str]:
    return {(entry.side, entry.name): entry.reason for entry in match_layers(a, b).unmatched}


def test_names_come_first() -> None:
    a = [layer("one"), layer("two")]
    assert names(a, a[::-1]) == [("one", "one"), ("two", "two")]
    assert reasons(a, a[::-1]) == {}


def test_a_name_with_another_shape_or_operation_is_not_comparable() -> None:
    told = reasons([layer("c"), layer("d")], [layer("c", shape=(9, 4, 4)), layer("d", "Gemm")])
    assert told["a", "c"] == told["b", "c"] == "it gives 8x4x4 in A and 9x4x4 in B"
    assert told["a", "d"] == told["b", "d"] == "it is Conv in A and Gemm in B"


def test_a_matrix_product_has_two_names() -> None:
    assert names([layer("fc", "Gemm")], [layer("fc", "MatMul")]) == [("fc", "fc")]
    assert names([layer("x", "Gemm")], [layer("y", "MatMul")]) == [("x", "y")]


def test_what_is_left_is_matched_in_order() -> None:
    a = [layer("a1"), layer("same"), layer("a2"), layer("fc", "Gemm", (10,))]
    b = [layer("b1"), layer("same"), layer("b2"), layer("dense", "MatMul", (10,))]
    assert names(a, b) == [("a1", "b1"), ("same", "same"), ("a2", "b2"), ("fc", "dense")]


def test_one_too_many_of_a_kind_makes_it_ambiguous() -> None:
    told = reasons([layer("a1"), layer("a2"), layer("a3", weights=5)], [layer("b1"), layer("b3", weights=5)])
    assert set(told) == {("a", "a1"), ("a", "a2"), ("b", "b1")}
    assert told["a", "a1"] == "B has no layer of its name; of its kind and shape A has 2 and B 1"
    assert told["b", "b1"] == "A has no layer of its name; of its kind and shape B has 1 and A 2"


def test_nothing_of_its_kind() -> None:
    assert reasons([layer("a1")], []) == {("a", "a1"): "B has no layer of its name, nor one more of its kind and shape"}


def test_an_order_that_is_turned_round_is_not_trusted() -> None:
    a = [layer("a1", weights=1), layer("a2", weights=2)]
    b = [layer("b2", weights=2), layer("b1", weights=1)]
    assert names(a, b) == []
    assert {"another order" in reason for reason in reasons(a, b).values()} == {True}
    assert names([layer("x"), layer("n", weights=9)], [layer("n", weights=9), layer("y")]) == [("n", "n")]


LAYERS = st.lists(
    st.builds(layer, st.sampled_from("pqrstuvw"), st.sampled_from(["Conv", "Gemm"]), st.sampled_from([(1,), (2,)])),
    unique_by=lambda entry: entry.name,
    max_size=6,
)


@given(LAYERS, LAYERS)
def test_every_layer_is_matched_once_or_named_with_a_reason(a: list[Layer], b: list[Layer]) -> None:
    matching = match_layers(a, b)
    for side, layers in (("a", a), ("b", b)):
        matched = [pair[side == "b"].name for pair in matching.pairs]
        left = [entry.name for entry in matching.unmatched if entry.side == side]
        assert sorted(matched + left) == sorted(entry.name for entry in layers)
    assert all(one.shape == other.shape for one, other in matching.pairs)
    assert all(entry.reason for entry in matching.unmatched)
