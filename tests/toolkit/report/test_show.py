"""What a report says on a terminal."""

from __future__ import annotations

import pytest

from tests.toolkit.report.samples import four, unlabelled
from toolkit.report.show import show


def test_without_labels_the_table_has_the_share_of_same_answers(capsys: pytest.CaptureFixture[str]) -> None:
    report = unlabelled()
    show(report)
    out = capsys.readouterr().out
    assert "same answer %" in out and "top-1" not in out.partition(report.recommendation.text)[0]
    pairings = [engine.accuracy.pairing for engine in report.engines if engine.accuracy and engine.accuracy.pairing]
    assert pairings
    assert all(f"{pairing.agreement:.2f}" in out for pairing in pairings)


def test_with_labels_it_has_top_1(capsys: pytest.CaptureFixture[str]) -> None:
    show(four())
    out = capsys.readouterr().out
    assert "top-1 %" in out and "same answer" not in out
