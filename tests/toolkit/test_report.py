"""`toolkit report` on small bundles: without PyTorch and ONNX."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from tests.command import assert_clean_failure, toolkit, without_packages
from tests.tiny import LABELS, SIDE, expected_answers, make_images, reseal
from toolkit.report.opening import find_reference, open_bundles

QUICK = ("--quick", "--seconds", 0.2, "--threads", 1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures, of which the FP32 bundle has five in six right."""
    folder = tmp_path_factory.mktemp("pictures")
    images = make_images(60, seed=5)
    answers = expected_answers(images).argmax(axis=1)
    for index, (image, answer) in enumerate(zip(images, answers, strict=True)):
        place = folder / LABELS[(int(answer) + (index % 6 == 0)) % len(LABELS)]
        place.mkdir(exist_ok=True)
        (place / f"{index:02}.png").write_bytes(bytes(cv2.imencode(".png", image.reshape(SIDE, SIDE))[1]))
    return folder


@pytest.fixture(scope="module")
def reported(
    tiny_bundle: Path, tiny_int8_bundle: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict, Path]:
    """A whole report of two bundles, with all that can be measured."""
    folder = tmp_path_factory.mktemp("whole")
    done = toolkit(
        "report", tiny_bundle, tiny_int8_bundle, "--data", pictures, "-o", "out", "--seconds", 0.3, "--cold", 1,
        "--threads", 1, "--max-drop", 50, "--junit", "gates.xml", "--json", cwd=folder,
        GITHUB_STEP_SUMMARY=str(folder / "summary.md"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def test_it_has_the_figures_of_every_bundle(reported: tuple[dict, Path], tiny_bundle: Path) -> None:
    report, _ = reported
    first, second = report["engines"]
    assert [first["precision"], second["precision"]] == ["fp32", "int8"]
    assert report["reference"] == first["name"] == tiny_bundle.name
    assert (report["images"], first["accuracy"]["images"]) == (60, 60)
    assert first["accuracy"]["top1"] == pytest.approx(100 * 5 / 6)
    assert first["accuracy"]["top1_interval"]["low"] < 100 * 5 / 6 < first["accuracy"]["top1_interval"]["high"]
    assert first["accuracy"]["pairing"] is None
    pairing = second["accuracy"]["pairing"]
    assert pairing["drop_points"] == pytest.approx(first["accuracy"]["top1"] - second["accuracy"]["top1"])
    assert len(second["accuracy"]["changed"]) == round(60 * (1 - pairing["agreement"] / 100))
    for engine in (first, second):
        performance = engine["performance"]
        assert performance["single"]["times"]["samples"] > 0
        assert performance["batches"][0]["batch"] == 1
        assert performance["paced"][0]["fps"] == 30
        assert performance["cold"]["starts"] == 1
        assert performance["preparation"]["decode_ms"] > 0
        assert performance["energy"] or performance["energy_reason"]
    assert second["performance"]["single"]["ratio"]["value"] > 0
    assert report["recommendation"]["engine"] in (first["name"], second["name"])
    assert report["machine"]["cores"] > 0
    assert report["command"].startswith("toolkit report ")


def test_the_files_say_the_same(reported: tuple[dict, Path]) -> None:
    report, folder = reported
    assert json.loads((folder / "out" / "report.json").read_text()) == report
    page, text = (folder / "out" / "report.html").read_text(), (folder / "out" / "report.md").read_text()
    for engine in report["engines"]:
        assert engine["name"] in page
        assert engine["name"] in text
    assert report["recommendation"]["text"].split(":")[0] in page
    assert not re.search(r"""(?:href|src|url)\s*[=(]\s*(?!["']?(?:#|data:))""", page)
    assert "<script" not in page
    suites = ElementTree.parse(folder / "gates.xml").getroot()
    assert [case.get("name") for case in suites.iter("testcase")] == ["drop_points <= 50"]
    assert report["engines"][1]["name"] in (folder / "summary.md").read_text()
    assert report["files"] == {
        "html": "out/report.html",
        "markdown": "out/report.md",
        "json": "out/report.json",
        "junit": "gates.xml",
    }


def test_the_gallery_shows_what_changed(reported: tuple[dict, Path]) -> None:
    report, folder = reported
    changed = report["engines"][1]["accuracy"]["changed"]
    assert changed
    page = (folder / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= len(changed)


def test_a_missed_gate_is_exit_code_3_and_the_report_is_there(
    tiny_bundle: Path, tiny_int8_bundle: Path, tmp_path: Path
) -> None:
    gates = "--max-size-mib", 0.000001, "--max-p99-ms", 1e9, "--min-throughput", 0.001, "--gate", "p50_ms<=1e9"
    done = toolkit("report", tiny_bundle, tiny_int8_bundle, *QUICK, *gates, "--junit", "j.xml", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "size_mib<=1e-06 missed" in done.stderr
    assert "images_per_second>=0.001 passed" in done.stderr
    assert "No engine is within the budget" not in done.stdout  # the reference has no budget to keep
    assert (tmp_path / "report" / "report.html").is_file()
    missed = {case.get("name"): bool(len(case)) for case in ElementTree.parse(tmp_path / "j.xml").iter("testcase")}
    assert missed.pop("p99_ms <= 1000000000") in (True, False)  # a busy machine makes too few calls to know it
    assert [name for name in missed if missed[name]] == ["size_mib <= 1e-06"]


def test_one_bundle_alone_keeps_the_gates_and_needs_no_images(tiny_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("report", tiny_bundle, *QUICK, "--max-drop", 1, "--json", cwd=tmp_path)
    assert done.returncode == 3
    (engine,) = json.loads(done.stdout)["engines"]
    assert engine["gates"][0]["value"] is None
    assert engine["accuracy_reason"] == "no images were given: give --data"


def test_without_json_there_is_a_table_and_what_to_take(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    done = toolkit("report", tiny_bundle, *QUICK, "--data", pictures, "--images", 12, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "12 images of" in done.stdout
    assert "p50 ms" in done.stdout
    assert "the only engine that was timed" in done.stdout
    assert "12 images are few" in done.stdout


def test_an_earlier_report_is_compared(tiny_bundle: Path, tmp_path: Path) -> None:
    arguments = "report", tiny_bundle, *QUICK, "--json"
    assert toolkit(*arguments, cwd=tmp_path).returncode == 0
    done = toolkit(*arguments, "--against", "report/report.json", "-o", "new", cwd=tmp_path)
    against = json.loads(done.stdout)["against"]
    assert against["file"] == "report/report.json"
    assert {change["figure"]: change["verdict"] for change in against["changes"]}["size_mib"] == "same"
    (tmp_path / "bad.json").write_text("{}")
    assert_clean_failure(toolkit(*arguments[:-1], "--against", "bad.json", "-o", "x", cwd=tmp_path), "not a report")
    assert not (tmp_path / "x").exists()


def test_bundles_of_one_name_are_told_apart(tiny_bundle: Path, tmp_path: Path) -> None:
    import shutil

    for parent in "ab":
        shutil.copytree(tiny_bundle, tmp_path / parent / "same")
    done = toolkit("report", "a/same", "b/same", *QUICK, "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert [engine["name"] for engine in report["engines"]] == ["a/same", "b/same"]


def test_a_report_that_is_there_is_not_lost(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text("mine")
    arguments = "report", tiny_bundle, *QUICK
    assert_clean_failure(
        toolkit(*arguments, cwd=tmp_path), "report.json is there already", "--force", "another folder with -o"
    )
    assert (tmp_path / "report" / "report.json").read_text() == "mine"
    assert toolkit(*arguments, "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "report" / "report.json").read_text() != "mine"


def test_an_engine_that_does_not_run_here_is_evaluated_on_the_reference_backend(
    tiny_bundle: Path, tiny_bundle_copy: Path, pictures: Path, tmp_path: Path
) -> None:
    def elsewhere(manifest: dict) -> None:
        manifest["target"] = "tensorrt"

    reseal(tiny_bundle_copy, elsewhere)
    done = toolkit("report", tiny_bundle, tiny_bundle_copy, *QUICK, "--data", pictures, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    absent = report["engines"][1]
    assert absent["performance"] is None
    assert "tensorrt" in absent["performance_reason"]
    assert (absent["accuracy_with"], absent["accuracy"]["pairing"]["agreement"]) == ("onnxruntime", 100)
    assert any("its graph answered on onnxruntime" in warning for warning in report["warnings"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--junit", "j.xml"), "--junit says what came of gates"),
        (("--max-drop", "nan"), "not a finite number"),
        (("--gate", "speed<=1"), "there is no figure 'speed'"),
        (("--gate", "time_ratio<=1"), "name another one too"),
        (("--images", "0"), "--images"),
        (("--images", "10"), "--images takes some of --data"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    tiny_bundle: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = toolkit("report", tiny_bundle, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_not_there_leaves_nothing_behind(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("nowhere", "empty"):
        assert_clean_failure(toolkit("report", tiny_bundle, *QUICK, "--data", folder, cwd=tmp_path), folder)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_without_its_packages_it_says_so_before_it_measures(tiny_bundle: Path, tmp_path: Path, package: str) -> None:
    done = toolkit("report", tiny_bundle, cwd=tmp_path, PYTHONPATH=without_packages(tmp_path, package))
    assert_clean_failure(done, package, "[report]")
    assert "measure latency" not in done.stderr
    assert not (tmp_path / "report").exists()


def test_the_engine_that_others_are_timed_against_has_no_time_ratio_to_keep(
    tiny_bundle: Path, tiny_int8_bundle: Path, tmp_path: Path
) -> None:
    """The reference is another one here, so that the first is held to the other gates."""
    gates = ("--gate", "time_ratio<=1e-6", "--gate", "size_mib<=100")
    done = toolkit("report", tiny_int8_bundle, tiny_bundle, tiny_int8_bundle, *QUICK, *gates, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["reference"] == tiny_bundle.name
    assert [[gate["name"] for gate in engine["gates"]] for engine in report["engines"]] == [["size_mib"], []]


def test_quick_leaves_out_what_was_not_asked_for(tiny_bundle: Path, tmp_path: Path) -> None:
    options = ("--cold", 1, "--gate", "cold_start_ms<=1e6")
    done = toolkit("report", tiny_bundle, *QUICK, *options, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    performance = json.loads(done.stdout)["engines"][0]["performance"]
    assert performance["cold"]["starts"] == 1
    assert performance["paced"] == performance["batches"] == []


def test_a_bundle_is_the_same_by_its_relative_and_its_absolute_path(
    tiny_bundle: Path, tiny_int8_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_bundle.parent)
    bundles = open_bundles((Path(tiny_bundle.name), tiny_int8_bundle, tiny_bundle), tiny_bundle)
    assert list(bundles) == [tiny_bundle.name, tiny_int8_bundle.name]
    assert find_reference(bundles, tiny_bundle) == tiny_bundle.name


def test_the_reference_may_be_a_bundle_that_was_not_named(
    tiny_bundle: Path, tiny_int8_bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    done = toolkit(
        "report", tiny_int8_bundle, "--reference", tiny_bundle, *QUICK, "--data", pictures, "--json", cwd=tmp_path
    )
    report = json.loads(done.stdout)
    assert [engine["name"] for engine in report["engines"]] == [tiny_bundle.name, tiny_int8_bundle.name]
    assert report["engines"][1]["accuracy"]["pairing"] is not None
    assert np.isfinite(report["engines"][1]["accuracy"]["pairing"]["p_value"])
