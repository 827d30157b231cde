"""The experiments: what grows a network keeps its answers, and a study runs from end to end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from tests.toolkit.training.bars import write_bars
from toolkit.zoo import get_zoo_model

EXPERIMENTS = Path(__file__).parents[2] / "examples" / "experiments"


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Ten kinds of lying bars, as IDX files."""
    return write_bars(tmp_path / "bars")


@pytest.fixture(autouse=True)
def from_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `python examples/experiments/NAME.py` has it."""
    monkeypatch.setattr(sys, "path", [str(EXPERIMENTS), *sys.path])


@pytest.mark.parametrize(
    ("name", "narrow", "wide"),
    [
        (
            "alexnet-bn",
            {"maps": (2, 4, 6, 6, 4), "dense": 8},
            {"maps": (6, 8, 6, 12, 8), "dense": 24},
        ),
        ("lenet", {}, {"width": 2}),
    ],
)
def test_a_wide_network_answers_as_the_narrow_one(
    name: str, narrow: dict[str, object], wide: dict[str, object]
) -> None:
    from grow import widen

    torch.manual_seed(0)
    small, large = (get_zoo_model(name).with_options(options).make() for options in (narrow, wide))
    _, height, width = shape = (3, 227, 227) if name == "alexnet-bn" else (1, 32, 32)
    assert height == width
    small(torch.rand(8, *shape))  # batch norm has seen something
    small.eval(), large.eval()
    widen(small, large, seed=1)
    images = torch.rand(4, *shape)
    with torch.no_grad():
        torch.testing.assert_close(large(images), small(images), rtol=1e-4, atol=1e-5)
    copies = large.conv2.weight[:2]  # of one map: they read alike, in all, but not each for itself
    assert not torch.equal(copies[0], copies[1])


def test_a_layer_that_is_no_multiple_is_refused() -> None:
    from grow import widen

    small, large = (get_zoo_model("lenet").with_options({"width": width}).make() for width in (2, 3))
    with pytest.raises(ValueError, match="18 is no multiple of 12"):
        widen(small, large, seed=0)


def test_a_study_runs_once_and_shows_what_it_found(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import report
    import study

    monkeypatch.setattr(study, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    recipe = replace(study.ARTICLE, epochs=3)
    variants = [
        study.Variant("raw pixels", "lenet-28", recipe, {"activation": "relu"}, pixel=255),
        study.Variant("black to white is 1", "lenet-28", recipe, {"activation": "relu"}, images=100),
    ]
    runs = study.run_all(variants, 2, bars, jobs=2)
    assert [len(many) for many in runs.values()] == [2, 2]
    assert all(len(run.loss) == len(run.test_top1) == 3 and run.parameters == 44_426 for run in runs["raw pixels"])
    assert runs["raw pixels"][0].loss != runs["raw pixels"][1].loss  # seeds differ
    assert min(run.test_top1[-1] for run in runs["raw pixels"]) > 50
    assert max(run.test_top1[-1] for run in runs["black to white is 1"]) < 50  # few images, small steps

    capsys.readouterr()
    assert study.run_all(variants, 2, bars, jobs=2) == runs
    assert capsys.readouterr().out == ""  # nothing was trained again

    figure, (left, right) = report.two_plots()
    report.curves(left, runs, "loss")
    report.bars(right, {label: one["test_top1"] for label, one in report.summarize(runs).items()}, "top-1")
    report.show("bars", runs)
    monkeypatch.setattr(report, "ROOT", tmp_path)
    report.save("bars", figure, {"ours": report.summarize(runs)})
    figures = json.loads((tmp_path / "results" / "bars.json").read_text())["ours"]["raw pixels"]
    ends = [run.test_top1[-1] for run in runs["raw pixels"]]
    assert figures["test_top1"][0] == pytest.approx(sum(ends) / 2)
    assert figures["test_top1"][1] == pytest.approx(12.706 * abs(ends[0] - ends[1]) / 2, abs=1e-6)
    assert (tmp_path / "results" / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_the_interval_is_students() -> None:
    from study import interval

    mean, half = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (mean, round(half, 3)) == (3.0, 1.963)  # 2.776 * sqrt(2.5) / sqrt(5)
