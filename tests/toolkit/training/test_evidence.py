"""The weights of the camera's evidence are fitted to what was read right on drawn scenes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

import runtime
from runtime.camera.reading.answer import Answer
from runtime.camera.reading.evidence import FACTORS
from runtime.camera.reading.sureness import Network, standardized
from runtime.camera.synthetic.truth import Truth
from tests.runtime.camera.candidates import bare
from tests.runtime.camera.digit_bundle import write_digit_bundle
from toolkit.training import evidence
from toolkit.training.evidence import fit, is_right, main

MNIST = Path(runtime.__file__).parent / "data" / "mnist"


def test_a_fit_finds_what_made_the_verdicts() -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(20_000, 5)) * rng.uniform(0.2, 5, 5) + 1
    table = standardized(factors, factors.mean(0), factors.std(0))
    score = 1 + 2 * table[:, 0] - 3 * table[:, 1] * table[:, 2]  # two together say what neither does by itself
    found = fit([*"abcde"], factors, rng.random(len(factors)) < 1 / (1 + np.exp(-score)))
    assert found.mean == pytest.approx(factors.mean(0), abs=1e-3)
    assert found.deviation == pytest.approx(factors.std(0), abs=1e-3)
    usual = np.abs(table).max(1) < 2
    told, true = (1 / (1 + np.exp(-odds[usual])) for odds in (found.log_odds(factors), score))
    assert np.abs(told - true).mean() < 0.05


def test_a_factor_that_never_changes_does_no_harm() -> None:
    factors = np.random.default_rng(0).normal(size=(2000, 2)) * [1, 0]
    found = fit(["one", "other"], factors, factors[:, 0] > 0)
    assert np.isfinite(found.log_odds(np.array([[1.0, 5.0], [-1.0, 0.0]]))).all()
    assert found.log_odds(np.array([[1.0, 0.0]])) > 0 > found.log_odds(np.array([[-1.0, 0.0]]))


@pytest.mark.parametrize(
    ("box", "number", "verdict"),
    [
        ((10, 10, 20, 40), 3, True),
        ((12, 11, 20, 38), 3, True),
        ((10, 10, 20, 40), 5, False),
        ((10, 32, 20, 18), 3, False),  # half of it
        ((200, 10, 20, 40), 3, False),
        ((100, 10, 20, 40), 3, None),  # cut off
    ],
)
def test_what_is_right(box: tuple[int, int, int, int], number: int, verdict: bool | None) -> None:
    truth = (
        Truth((10, 10, 20, 40), 3, "digit", 1, False, None),
        Truth((95, 5, 30, 50), None, "letter", 2, True, None),
    )
    answer = Answer(bare(box), number, 0.9, np.zeros(10, np.float32))
    assert is_right(answer, truth) is verdict


def test_the_command_writes_a_network_and_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_digit_bundle(tmp_path / "bundle")
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    monkeypatch.setattr(evidence, "PART", 2)
    for file, workers in zip(files, ("1", "2"), strict=True):
        line = [str(bundle), str(MNIST), "--scenes", "6", "--workers", workers, "-o", str(file)]
        result = CliRunner().invoke(main, line)
        assert result.exit_code == 0, result.output
        assert "answers of 6 scenes" in result.output
    assert files[0].read_bytes() == files[1].read_bytes()
    network = msgspec.json.decode(files[0].read_bytes(), type=Network)
    assert tuple(network.factors) == FACTORS
    assert {len(row) for row in network.layers[0].weights} == {len(FACTORS)}


def test_no_process_reads_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path), str(MNIST), "--workers", "0"])
    assert result.exit_code == 2
    assert "--workers" in result.output


def test_nothing_read_is_nothing_to_fit_to(tmp_path: Path) -> None:
    bundle, file = write_digit_bundle(tmp_path / "bundle"), tmp_path / "network.json"
    result = CliRunner().invoke(main, [str(bundle), str(MNIST), "--scenes", "0", "-o", str(file)])
    assert result.exit_code == 1
    assert "--scenes N" in result.output
    assert not file.exists()
