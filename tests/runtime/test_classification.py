"""Image files to answers, in order, whatever some of them are."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from msgspec import structs

from runtime.classification import BATCH, Classified, Unreadable, classify
from runtime.errors import InputError
from runtime.session import Session, open_session
from runtime.spec import ModelSpec
from tests.fakes import fake_session, first_pixel_class
from tests.tiny import CLASSES, LABELS, SIDE, expected_answers, make_images, make_spec


def session_with(spec: ModelSpec | None = None) -> Session:
    """The class is the value of the first pixel."""
    return fake_session(spec or make_spec(), first_pixel_class(CLASSES))[0]


def picture(path: Path, value: int) -> Path:
    assert cv2.imwrite(str(path), np.full((SIDE, SIDE), value, np.uint8))
    return path


def test_good_and_bad_files_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    bad = [tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "gone.png", tmp_path]
    good = [picture(tmp_path / f"{value}.png", value) for value in range(CLASSES)]
    paths = [bad[0], good[2], good[0], bad[1], bad[2], good[3], good[3], bad[3]]
    results = list(classify(session_with(), paths))
    assert [result.image for result in results] == [str(path) for path in paths]
    for path, result in zip(paths, results, strict=True):
        if path in bad:
            assert isinstance(result, Unreadable)
            assert str(path) in result.error and result.hint
        else:
            assert isinstance(result, Classified)
            assert result.top[0].index == int(path.stem)
            assert result.top[0].label == LABELS[int(path.stem)]
            assert result.top[0].probability == pytest.approx(0.7)


@pytest.mark.parametrize("name", ["./e", "./gone", ".", "a//e", "a\0b"])
def test_an_error_calls_a_file_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    for empty in ("e", "a/e"):
        (tmp_path / empty).touch()
    (result,) = classify(session_with(), [name])
    assert isinstance(result, Unreadable)
    reasons = ("is empty (0 bytes)", "is a directory", "No such file or directory", "embedded null byte")
    assert result.error in [f"{name} {reason}" for reason in reasons] + [
        f"cannot read {name}: {reason}" for reason in reasons
    ]


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 3])
def test_order_holds_over_any_number_of_batches(tmp_path: Path, count: int) -> None:
    good = [picture(tmp_path / f"{value}.png", value) for value in range(CLASSES)]
    paths = [(*good, tmp_path / "gone.png")[index % 5] for index in range(count)]
    results = list(classify(session_with(), paths))
    got = [result.top[0].index if isinstance(result, Classified) else None for result in results]
    assert got == [index % 5 if index % 5 < CLASSES else None for index in range(count)]


def test_only_bad_files_run_nothing(tmp_path: Path) -> None:
    session, engine = fake_session(make_spec(), first_pixel_class(CLASSES))
    results = list(classify(session, [tmp_path / "a", tmp_path / "b"]))
    assert [type(result) for result in results] == [Unreadable, Unreadable]
    assert engine.batches == []


def test_answers_come_as_they_are_asked_for(tmp_path: Path) -> None:
    path = picture(tmp_path / "1.png", 1)
    session, engine = fake_session(make_spec(), first_pixel_class(CLASSES))
    answers = classify(session, [path] * (BATCH + 1))
    assert len(list(itertools.islice(answers, 2))) == 2
    assert sum(engine.batches) == BATCH


@pytest.mark.parametrize("top, count", [(1, 1), (3, 3), (CLASSES, CLASSES), (99, CLASSES)])
def test_the_likeliest_come_first_and_equal_ones_by_index(tmp_path: Path, top: int, count: int) -> None:
    (result,) = classify(session_with(), [picture(tmp_path / "2.png", 2)], top=top)
    assert isinstance(result, Classified)
    assert [answer.index for answer in result.top] == [2, 0, 1, 3][:count]


@pytest.mark.parametrize("images, top", [("1.png", 1), (Path("1.png"), 1), (b"1.png", 1), (["1.png"], 0), ([], -1)])
def test_what_cannot_be_classified_is_refused(images: Any, top: int) -> None:
    with pytest.raises(InputError) as caught:
        next(classify(session_with(), images, top))
    assert caught.value.hint


@pytest.mark.parametrize("threshold, refused", [(None, None), (0.69, False), (0.71, True), (0.0, False), (1.0, True)])
def test_an_answer_below_the_models_threshold_is_refused(
    tmp_path: Path, threshold: float | None, refused: bool | None
) -> None:
    spec = structs.replace(make_spec(), reject_threshold=threshold)
    (result,) = classify(session_with(spec), [picture(tmp_path / "2.png", 2)])
    assert isinstance(result, Classified)
    assert result.refused is refused
    assert result.top[0].index == 2


def test_a_model_without_labels_gives_indices(tmp_path: Path) -> None:
    (result,) = classify(session_with(make_spec(labels=())), [picture(tmp_path / "2.png", 2)])
    assert isinstance(result, Classified)
    assert result.top[0].label == "2"


def test_an_image_over_the_limit_is_an_error_of_that_image_alone(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    assert cv2.imwrite(str(large), np.zeros((40, 50), np.uint8))
    small = picture(tmp_path / "1.png", 1)
    first, second = classify(session_with(), [large, small], max_megapixels=0.001)
    assert isinstance(first, Unreadable) and "50x40" in first.error
    assert isinstance(second, Classified)


def test_a_real_bundle_answers_as_its_model_does(tiny_bundle: Path, tmp_path: Path) -> None:
    images = make_images(6)
    paths = []
    for index, image in enumerate(images):
        paths.append(tmp_path / f"{index}.png")
        assert cv2.imwrite(str(paths[-1]), image)
    with open_session(tiny_bundle, threads=1) as session:
        results = [result for result in classify(session, paths) if isinstance(result, Classified)]
    expected = expected_answers(images)
    assert [result.top[0].index for result in results] == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose([result.top[0].probability for result in results], expected.max(axis=1), atol=1e-5)
