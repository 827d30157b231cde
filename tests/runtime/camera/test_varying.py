"""The model is asked again about what it is not sure of."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec import structs

from runtime import open_session
from runtime.camera.frame import Picture
from runtime.camera.reading.answer import SETTLED
from runtime.camera.reading.normalize import CENTER
from runtime.camera.reading.reader import DigitReader
from runtime.camera.reading.vary import VARIATIONS, varied
from tests.runtime.camera.candidates import bare
from tests.runtime.camera.digit_bundle import write_digit_bundle
from tests.runtime.camera.mnist import DIGITS


def center_of_mass(image: Picture) -> tuple[float, float]:
    rows, columns = np.indices(image.shape)
    return float((rows * image).sum() / image.sum()), float((columns * image).sum() / image.sum())


def test_variations_differ_from_the_image_and_from_each_other_and_stay_in_the_middle() -> None:
    image = DIGITS.image(1).reshape(28, 28)
    seen = [image, *varied(image)]
    assert len(seen) == 1 + len(VARIATIONS)
    assert len({picture.tobytes() for picture in seen}) == len(seen)
    for picture in seen:
        assert (picture.shape, picture.dtype) == ((28, 28), np.uint8)
        assert center_of_mass(picture) == pytest.approx((CENTER, CENTER), abs=0.6)


def test_a_doubtful_answer_is_the_mean_over_its_variations(tmp_path: Path) -> None:
    with open_session(write_digit_bundle(tmp_path / "digits"), threads=1) as session:
        reader = DigitReader(session)
        images = [DIGITS.image(place).reshape(28, 28) for place in range(60)]
        first = reader.probabilities(images)
        sure = first.max(1)
        doubtful = (sure >= reader.likely) & (sure < SETTLED)
        assert doubtful.any() and not doubtful.all()
        before = reader.batches, reader.inferences
        candidates = [bare((0, 0, 28, 28), image) for image in images]
        said = list(reader.infer(candidates, again=True))
        assert reader.batches == before[0] + 2
        assert reader.inferences == before[1] + 60 + len(VARIATIONS) * doubtful.sum()
        for image, row, again, (number, probability, each) in zip(images, first, doubtful, said, strict=True):
            rows = [row, *reader.probabilities(list(varied(image)))] if again else [row]
            mean = np.mean(rows, axis=0)
            assert number == mean.argmax()
            assert probability == pytest.approx(mean.max(), abs=1e-5)
            assert each == pytest.approx(mean, abs=1e-5)
        once = [probability for _, probability, _ in reader.infer(candidates)]
        assert once == pytest.approx(sure, abs=1e-5)


def test_nothing_to_ask_about_asks_nothing(tmp_path: Path) -> None:
    with open_session(write_digit_bundle(tmp_path / "digits"), threads=1) as session:
        reader = DigitReader(session)
        assert list(reader.infer([])) == []
        assert (reader.batches, reader.inferences) == (0, 0)


def test_what_the_model_itself_refuses_is_no_digit(tmp_path: Path) -> None:
    with open_session(write_digit_bundle(tmp_path / "digits"), threads=1) as session:
        assert DIGITS.labels is not None
        image = DIGITS.image(1).reshape(28, 28)
        shown = cv2.resize(255 - image, (112, 112), interpolation=cv2.INTER_CUBIC)
        frame = np.full((240, 320), 255, np.uint8)
        frame[60:172, 100:212] = shown
        assert [digit.label for digit in DigitReader(session, threshold=0.0).read(frame).digits] == [
            str(DIGITS.labels[1])
        ]
        session.spec = structs.replace(session.spec, reject_threshold=1.0)
        reading = DigitReader(session, threshold=0.0).read(frame)
        assert not reading.digits and reading.refused
