"""ImageNet's labels: all of them, in class order."""

from __future__ import annotations

import re
import subprocess
import sys

from runtime.spec import PadToSquare, Preprocess
from tests.command import ROOT, environment
from toolkit.zoo.imagenet import IMAGENET_MEAN, IMAGENET_STD, LABELS, imagenet_labels


def test_there_are_a_thousand_names_and_all_differ() -> None:
    labels = imagenet_labels()
    assert len(labels) == len(set(labels)) == 1000  # a folder of pictures is taken for the first class of its name
    assert [label for label in labels if not label or label != label.strip() or "/" in label] == []
    assert LABELS.read_text(encoding="utf-8").endswith("toilet tissue\n")


def test_the_names_are_in_class_order() -> None:
    labels = imagenet_labels()
    known = {0: "tench", 207: "golden retriever", 281: "tabby", 817: "sports car", 999: "toilet tissue"}
    twins = {134: "crane bird", 517: "crane", 638: "maillot", 639: "maillot tank suit"}
    assert {index: labels[index] for index in known | twins} == known | twins


def test_the_colours_fit_a_preprocessing() -> None:
    made = Preprocess("rgb", (PadToSquare(0),), IMAGENET_MEAN, IMAGENET_STD)
    assert made.channels == 3
    assert all(0 < value < 1 for value in IMAGENET_MEAN + IMAGENET_STD)


def test_reading_the_names_loads_nothing_heavy() -> None:
    code = (
        "import sys; from toolkit.zoo.imagenet import imagenet_labels; imagenet_labels(); "
        "print(sorted({'torch', 'onnx', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_names_ship_with_their_licence() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "BSD-3-Clause" in project
    assert '"zoo/imagenet.txt"' in project
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert str(LABELS.relative_to(ROOT)) in notice
    words = re.sub(r"\s+", " ", notice)
    assert "Copyright (c) Soumith Chintala 2016" in words  # the licence wants it, and its own text, kept
    assert "Redistributions in binary form must reproduce" in words
