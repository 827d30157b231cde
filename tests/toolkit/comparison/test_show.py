"""What a comparison says to people."""

from __future__ import annotations

import pytest

from tests.toolkit.comparison.results import make_comparison, make_layer
from toolkit.comparison.result import Disagreement, UnmatchedLayer
from toolkit.comparison.show import explain, show


def test_the_table_has_the_worst_first_and_no_more_than_asked(capsys: pytest.CaptureFixture[str]) -> None:
    layers = [make_layer(f"layer{index}", 30.0 + index) for index in (5, 1, 4, 2, 3)]
    show(make_comparison(*layers), 3)
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.startswith(" layer") and "dB" not in line] == [
        "layer1",
        "layer2",
        "layer3",
    ]
    assert "the 3 worst of 5" in out
    assert "8x4x4" in out and "0.1 (1 %)" in out


def test_what_cannot_be_told_is_a_dash_and_the_most_is_equal(capsys: pytest.CaptureFixture[str]) -> None:
    broken = make_layer("broken", -150.0, None, cosine=None, largest_error=None, relative_error=None, input_sqnr_db=150)
    show(make_comparison(broken), 9)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "broken" in line]
    assert row.split() == ["broken", "Conv", "8x4x4", "-150.0", "-", "-", "equal", "-"]


def test_a_layer_by_another_name_shows_both(capsys: pytest.CaptureFixture[str]) -> None:
    show(make_comparison(make_layer("n7", name_b="conv1")), 9)
    assert "n7 = conv1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("own", "line"),
    [
        (3.0, "it breaks at bad: given exactly what A's layer reads, its output has an SQNR of 3.0 dB"),
        (30.0, "bad adds the most error: 30.0 dB by itself"),
        (70.0, "no layer strays far by itself: bad most, with 70.0 dB"),
    ],
)
def test_the_layer_with_the_lowest_sqnr_by_itself_is_named(own: float, line: str) -> None:
    assert line in explain(make_comparison(make_layer("good", 3.0, 80.0), make_layer("bad", 20.0, own)))


def test_a_fault_between_layers_is_no_layers_fault() -> None:
    good, after = make_layer("good", 45.0), make_layer("after", 5.0, input_sqnr_db=5.0)
    assert any("what after reads has an SQNR of 5.0 dB" in line for line in explain(make_comparison(good, after)))
    tensor = make_layer("relu_1", 6.0, None, operation="Relu / Clip", input_sqnr_db=None)
    lines = explain(make_comparison(good, tensor, after))
    assert "it breaks at relu_1 (Relu / Clip), between layers: 6.0 dB" in lines


def test_equal_models_are_said_to_be_equal() -> None:
    equal = make_layer("same", 150.0, 150.0, largest_error=0.0)
    lines = explain(make_comparison(equal, equal=True, largest_probability_difference=0.0))
    assert lines[0].startswith("they are equal")
    assert not any("differ by" in line or "breaks" in line for line in lines)


def test_unmatched_layers_are_named_and_counted() -> None:
    unmatched = tuple(UnmatchedLayer("b", f"u{index}", "no such thing") for index in range(8))
    lines = explain(make_comparison(make_layer("x"), unmatched=unmatched))
    assert "not compared: u0 of B: no such thing" in lines
    assert "not compared: 3 more, which --json names" in lines
    assert "no layer could be compared" in explain(make_comparison(unmatched=unmatched))


def test_images_that_changed_class_are_named() -> None:
    changed = (Disagreement(4, "a/b.png", 2, 2, 7), Disagreement(1005, None, None, 1, 3))
    lines = explain(make_comparison(make_layer("x"), disagreements=changed, top1_a=99.0, top1_b=98.0))
    assert "  a/b.png: 2 in A, 7 in B, labelled 2" in lines
    assert "  image 1,005: 1 in A, 3 in B" in lines
    assert "probabilities differ by 0.25 at most, on image 1,234 of pictures" in lines
    assert "top-1: they agree on 98.44 % of 64 images of pictures; accuracy 99.00 % of A, 98.00 % of B" in lines
