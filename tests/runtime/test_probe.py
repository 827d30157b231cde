"""The probe: an engine proves itself, and a wrong one is found out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import BundleCorruptError, SelfCheckError
from runtime.probe import LIMITS, Probe, ProbeCheck, centred_logs, check_probe, distance, limit_for
from runtime.spec import Precision
from tests.fakes import fake_session
from tests.tiny import CLASSES, expected_answers, make_images, make_spec

IMAGES = make_images(4)
ANSWERS = expected_answers(IMAGES)
PROBE = Probe(IMAGES, ANSWERS, ANSWERS)


def check(answers: NDArray[np.float32], probe: Probe = PROBE, limit: float = 0.01) -> ProbeCheck:
    """Check an engine that gives these answers."""
    session, _ = fake_session(make_spec(), lambda batch: answers)
    return check_probe(session, probe, limit)


def distribution(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def one_image(answer: NDArray[np.float32]) -> Probe:
    return Probe(IMAGES[:1], answer, answer)


def test_the_right_answers_are_at_no_distance() -> None:
    result = check(ANSWERS)
    assert (result.distance, result.wrong, result.ok) == (0.0, 0, True)
    result.require("it")


def test_the_distance_is_that_of_the_definition() -> None:
    expected, actual = distribution([0.1, 0.2, 0.3, 0.4]), distribution([0.1, 0.25, 0.25, 0.4])
    logs = [np.log(row) - np.log(row).mean() for row in (expected[0].astype(float), actual[0].astype(float))]
    wanted = np.linalg.norm(logs[1] - logs[0]) / np.linalg.norm(logs[0])
    assert check(actual, one_image(expected)).distance == pytest.approx(wanted, rel=1e-9)


def test_the_worst_image_counts() -> None:
    one_off = ANSWERS.copy()
    one_off[2] = 0.25
    assert check(one_off).distance == pytest.approx(1, abs=1e-6)


def test_probabilities_below_the_floor_are_all_alike() -> None:
    expected, actual = distribution([1, 1e-12, 0, 1e-7]), distribution([1, 0, 1e-30, 0])
    assert check(actual, one_image(expected)).distance == 0


@pytest.mark.parametrize("precision", LIMITS)
def test_a_limit_is_the_largest_distance_that_is_accepted(precision: Precision) -> None:
    limit = LIMITS[precision]
    logits = np.log(ANSWERS.astype(np.float64))
    for factor, ok in ((0.9, True), (1.1, False)):
        scaled = np.exp(logits * (1 + limit * factor))
        result = check((scaled / scaled.sum(axis=1, keepdims=True)).astype(np.float32), limit=limit)
        assert result.distance == pytest.approx(limit * factor, rel=0.02)
        assert (result.ok, result.wrong) == (ok, 0)


def test_limits_grow_as_precision_falls() -> None:
    assert 0 < LIMITS["fp32"] < LIMITS["int8"] < 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("everywhere", [True, False])
def test_an_answer_that_is_no_number_fails(value: float, everywhere: bool) -> None:
    answers = ANSWERS.copy()
    answers[(slice(None) if everywhere else 1), (slice(None) if everywhere else 0)] = value
    result = check(answers, limit=1e9)
    assert result.distance == float("inf")
    assert not result.ok


def test_zeros_everywhere_fail() -> None:
    assert not check(np.zeros_like(ANSWERS)).ok


def test_another_class_counts_only_where_it_was_not_close() -> None:
    close = distribution([0.4, 0.399, 0.1, 0.101])
    swapped = close[:, [1, 0, 2, 3]]
    assert check(swapped, one_image(close), limit=0.1).ok
    assert check(swapped, one_image(close), limit=0.001).wrong == 1
    clear = distribution([0.5, 0.3, 0.1, 0.1])
    result = check(clear[:, [1, 0, 2, 3]], one_image(clear), limit=0.1)
    assert (result.wrong, result.ok) == (1, False)
    assert not ProbeCheck(distance=0.0, limit=1.0, wrong=1).ok


def test_two_classes_are_close_as_far_as_the_limit_lets_answers_differ() -> None:
    answer = distribution([0.58, 0.42, 1e-6, 1e-6])  # two that are never meant make the norm large
    result = check(answer[:, [1, 0, 2, 3]], one_image(answer), limit=0.1)
    assert result.distance == pytest.approx(0.035, abs=0.001) and result.ok


def test_a_network_that_a_precision_costs_more_is_held_to_no_less_than_two_roundings_of_it() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20, 1000))
    scale = 0.2 * np.linalg.norm(logits, axis=1, keepdims=True)

    def rounded() -> NDArray[np.float32]:
        away = rng.normal(size=logits.shape)
        found = np.exp(logits + scale * away / np.linalg.norm(away, axis=1, keepdims=True))
        return np.asarray(found / found.sum(axis=1, keepdims=True), np.float32)

    fp32 = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probe = Probe(IMAGES, rounded(), fp32.astype(np.float32))
    limit = limit_for("int8", probe)
    assert distance(rounded(), probe.expected) < limit < 2 * distance(probe.expected, probe.fp32)
    assert limit_for("int8", PROBE) == LIMITS["int8"]


def test_a_failed_check_says_how_far_off_and_what_to_do() -> None:
    with pytest.raises(SelfCheckError, match=r"lenet on it .*distance 0\.5000, limit 0\.1, 2 images") as caught:
        ProbeCheck(0.5, 0.1, 2).require("lenet on it")
    assert caught.value.hint


def test_centring_takes_the_mean_out_of_the_logs() -> None:
    np.testing.assert_allclose(centred_logs(ANSWERS).mean(axis=1), 0, atol=1e-12)


def test_a_probe_comes_back_as_it_was_written(tmp_path: Path) -> None:
    probe = Probe(IMAGES, ANSWERS, ANSWERS[::-1].copy())
    probe.write(tmp_path / "probe.npz")
    back = Probe.read(tmp_path / "probe.npz", make_spec())
    for name in ("images", "expected", "fp32"):
        array = getattr(back, name)
        np.testing.assert_array_equal(array, getattr(probe, name))
        assert array.dtype == getattr(probe, name).dtype


def test_equal_probes_have_equal_bytes_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PROBE.write(tmp_path / "one.npz")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    Probe(IMAGES.copy(), np.asfortranarray(ANSWERS).copy("C"), ANSWERS.copy()).write(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


class Boom:
    """Unpickling it would leave a trace."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("import builtins; builtins.boom = True",))


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    import builtins

    path = tmp_path / "probe.npz"
    np.savez(path, images=np.array([Boom()], dtype=object), expected=ANSWERS, fp32=ANSWERS)
    with pytest.raises(BundleCorruptError, match="probe") as caught:
        Probe.read(path, make_spec())
    assert caught.value.hint
    assert not hasattr(builtins, "boom")


def test_a_missing_probe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleCorruptError, match="gone"):
        Probe.read(tmp_path / "gone.npz", make_spec())


@pytest.mark.parametrize("position", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_damaged_archive_is_refused_or_fits_the_model(tmp_path: Path, position: float) -> None:
    path = tmp_path / "probe.npz"
    np.savez_compressed(path, images=IMAGES, expected=ANSWERS, fp32=ANSWERS)
    data = bytearray(path.read_bytes())
    for offset in range(0, 40):
        index = int(len(data) * position) + offset
        kept, data[index] = data[index], data[index] ^ 0x5A
        path.write_bytes(data)
        data[index] = kept
        try:
            assert Probe.read(path, make_spec()).expected.shape[1] == CLASSES
        except BundleCorruptError as error:
            assert error.hint
