"""One contract for every session, whatever engine is under it; and `open_session`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import Session, open_session
from runtime.backend import EngineFile, EngineOptions, installed_backends
from runtime.bundle import Bundle
from runtime.errors import BackendError, BackendUnavailableError, InputError, SelfCheckError
from runtime.session import session_on
from runtime.spec import BatchRange, ModelSpec
from tests.runtime.tensorrt.rig import Rig
from tests.tiny import CLASSES, SIDE, expected_answers, make_images, make_spec, reseal, reseal_file, write_model

RANGES = [BatchRange(), BatchRange(1, 1, 1), BatchRange(4, 4, 8), BatchRange(1, 3, 5)]
CPU_BACKENDS = ("openvino", "onnxruntime")
MakeSession = Callable[[BatchRange], Session]
CLOSES_ELSEWHERE = """
import gc, os, signal, sys, threading
from runtime import open_session
sessions = [open_session(sys.argv[1], backend=sys.argv[2])]
def close():
    with sessions.pop():
        pass
    gc.collect()
thread = threading.Thread(target=close)
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


class StrictEngine:
    """An engine that holds its caller to the contract."""

    def __init__(self, batch: BatchRange) -> None:
        self.range = batch
        self.sizes: list[int] = []
        self.closed = 0

    def run(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        assert not self.closed
        assert type(batch) is np.ndarray and batch.dtype == np.uint8 and batch.flags.c_contiguous
        assert type(out) is np.ndarray and out.dtype == np.float32 and out.flags.carray
        assert batch.shape[1:] == (SIDE, SIDE, 1)
        assert out.shape == (len(batch), CLASSES)
        assert self.range.smallest <= len(batch) <= self.range.largest
        self.sizes.append(len(batch))
        out[...] = expected_answers(batch)

    def close(self) -> None:
        self.closed += 1


class FailingEngine:
    """An engine that raises what it is given."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        raise self.error

    def close(self) -> None:
        pass


def strict_session(batch: BatchRange | None = None) -> tuple[Session, StrictEngine]:
    engine = StrictEngine(batch or BatchRange())
    return Session(engine, make_spec(), engine.range), engine


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_model(path)
    return path


# No GPU is at hand: what stands in for one, and with which settings.
STAND_INS: dict[str, dict[str, Any]] = {
    "TensorRT's stand-in": {},
    "an integrated GPU's stand-in": {"integrated": True, "has_graphs": False},
    "TensorRT for RTX's stand-in": {"rtx": True},
}


@pytest.fixture(params=["strict", *STAND_INS, *CPU_BACKENDS])
def make(request: pytest.FixtureRequest, model: Path, tmp_path: Path) -> Iterator[MakeSession]:
    """Makes a session of the tiny model with a range of batch sizes."""
    name = str(request.param)
    if name == "strict":
        yield lambda batch: strict_session(batch)[0]
    elif name in STAND_INS:
        rig = Rig(tmp_path, **STAND_INS[name])
        yield rig.session
        rig.cuda.check()
    elif name in installed_backends():
        file = EngineFile(model, {}, None)
        yield lambda batch: session_on(name, file, make_spec(), EngineOptions(batch=batch, threads=1))
    else:
        pytest.skip(f"{name} does not run here")


@pytest.mark.parametrize("batch", RANGES, ids=str)
def test_every_number_of_images_is_answered_in_order(make: MakeSession, batch: BatchRange) -> None:
    with make(batch) as session:
        for count in (0, 1, 2, 3, 4, 5, 8, 9, 33, 70):
            images = make_images(count)
            answer = session.run(images)
            assert (answer.dtype, answer.shape, answer.flags.c_contiguous) == (np.float32, (count, CLASSES), True)
            np.testing.assert_allclose(answer, expected_answers(images), atol=2e-5)
            np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("batch", RANGES, ids=str)
def test_a_batch_gets_the_answers_of_its_images_one_by_one(make: MakeSession, batch: BatchRange) -> None:
    images = make_images(11)
    with make(batch) as session:
        alone = np.concatenate([session.run(images[i : i + 1]) for i in range(len(images))])
        np.testing.assert_allclose(session.run(images), alone, atol=1e-5)
    assert len(set(alone.argmax(axis=1))) > 1


@pytest.mark.parametrize("batch", RANGES, ids=str)
@pytest.mark.parametrize("count", [0, 1, 4, 33])
def test_the_answer_is_out_itself_where_that_is_given(make: MakeSession, batch: BatchRange, count: int) -> None:
    images = make_images(count)
    out = np.full((count + 2, CLASSES), 7, np.float32)
    with make(batch) as session:
        view = out[1:-1]
        assert session.run(images, view) is view
        assert session.run(images, out=view) is view
    np.testing.assert_allclose(view, expected_answers(images), atol=2e-5)
    assert (out[[0, -1]] == 7).all()


@pytest.mark.parametrize("count", [1, 3, 40])
def test_fresh_answers_share_no_memory(make: MakeSession, count: int) -> None:
    with make(BatchRange()) as session:
        first = session.run(make_images(count, seed=5))
        kept = first.copy()
        second = session.run(make_images(count, seed=6))
        assert not np.shares_memory(first, second)
        first[...] = -1
        np.testing.assert_allclose(session.run(make_images(count, seed=5)), kept, atol=1e-6)
        assert (first == -1).all()
    np.testing.assert_allclose(second, expected_answers(make_images(count, seed=6)), atol=2e-5)


@pytest.mark.parametrize("batch", RANGES, ids=str)
def test_images_need_not_be_contiguous_or_writable_and_are_not_changed(make: MakeSession, batch: BatchRange) -> None:
    images = make_images(6)
    frozen = images.copy()
    frozen.flags.writeable = False
    wide = np.zeros((6, SIDE, SIDE * 2, 1), np.uint8)
    wide[:, :, ::2] = images
    unaligned = np.frombuffer(b"\0" + images.tobytes(), np.uint8, offset=1).reshape(images.shape)
    forms: dict[str, NDArray[np.uint8]] = {
        "read-only": frozen,
        "every second column": wide[:, :, ::2],
        "backwards": images[::-1].copy()[::-1],
        "Fortran order": np.asfortranarray(images),
        "from bytes": unaligned,
        "a subclass": images.view(np.recarray),
        "one repeated": np.broadcast_to(images[:1], images.shape),
    }
    with make(batch) as session:
        for name, form in forms.items():
            want = expected_answers(np.ascontiguousarray(form))
            before = form.copy()
            np.testing.assert_allclose(session.run(form), want, atol=2e-5, err_msg=name)
            out = np.empty((len(form), CLASSES), np.float32)
            np.testing.assert_allclose(session.run(form, out), want, atol=2e-5, err_msg=name)
            np.testing.assert_array_equal(form, before, err_msg=name)


@pytest.mark.parametrize(
    "images",
    [
        make_images(2).astype(np.float32),
        make_images(2).astype(np.int8),
        make_images(2) > 127,
        make_images(2)[0],
        make_images(2)[..., 0],
        make_images(2)[:, :-1],
        np.zeros((2, SIDE, SIDE, 3), np.uint8),
        np.zeros((1, 2, SIDE, SIDE, 1), np.uint8),
        np.zeros((0,), np.uint8),
        np.uint8(3),
        np.array(3, np.uint8),
        make_images(2).tolist(),
        None,
        "image.png",
    ],
    ids=lambda images: f"{type(images).__name__} {getattr(images, 'dtype', '')} {getattr(images, 'shape', '')}",
)
@pytest.mark.parametrize("with_out", [False, True])
def test_images_of_another_dtype_or_shape_are_refused(make: MakeSession, images: Any, with_out: bool) -> None:
    with make(BatchRange()) as session:
        with pytest.raises(InputError, match=r"uint8 \(N, 8, 8, 1\)") as caught:
            session.run(images, np.empty((2, CLASSES), np.float32) if with_out else None)
        assert "session.preprocess" in caught.value.hint
        assert session.run(make_images(1)).shape == (1, CLASSES)


def read_only() -> NDArray[np.float32]:
    out = np.empty((2, CLASSES), np.float32)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    "out",
    [
        np.empty((2, CLASSES), np.float64),
        np.empty((2, CLASSES), ">f4"),
        np.empty((3, CLASSES), np.float32),
        np.empty((1, CLASSES), np.float32),
        np.empty((2, CLASSES - 1), np.float32),
        np.empty((2 * CLASSES,), np.float32),
        np.empty((CLASSES, 2), np.float32).T,
        np.empty((2, CLASSES * 2), np.float32)[:, ::2],
        read_only(),
        [[0.0] * CLASSES] * 2,
        bytearray(2 * CLASSES * 4),
    ],
    ids=[
        "float64",
        "big endian",
        "too many rows",
        "too few rows",
        "too few classes",
        "flat",
        "transposed",
        "strided",
        "read-only",
        "list",
        "bytearray",
    ],
)
def test_an_out_that_cannot_take_the_answer_is_refused(make: MakeSession, out: Any) -> None:
    with make(BatchRange()) as session:
        with pytest.raises(InputError, match="out must be float32") as caught:
            session.run(make_images(2), out)
        assert caught.value.hint


def test_a_session_closes_once_and_then_refuses_to_run(make: MakeSession) -> None:
    session = make(BatchRange())
    with session as entered:
        assert entered is session
        session.run(make_images(1))
        session.run(make_images(3))
    for out in (None, np.empty((1, CLASSES), np.float32)):
        with pytest.raises(InputError, match="closed"):
            session.run(make_images(1), out)
    session.close()
    session.close()


def test_sessions_close_in_any_order(make: MakeSession) -> None:
    first, second = make(BatchRange()), make(BatchRange(2, 2, 4))
    images = make_images(3)
    first.close()
    np.testing.assert_allclose(second.run(images), expected_answers(images), atol=2e-5)
    second.close()
    first.close()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_session_that_another_thread_closes_leaves_signals_alone(tiny_bundle: Path, backend: str) -> None:
    """OpenVINO unmapped the signal stack of the thread that had loaded it: Ctrl-C ended in a segmentation fault."""
    done = subprocess.run(
        [sys.executable, "-c", CLOSES_ELSEWHERE, tiny_bundle, backend], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_a_session_closes_when_its_block_raises() -> None:
    session, engine = strict_session()
    with pytest.raises(ZeroDivisionError), session:
        raise ZeroDivisionError
    assert engine.closed == 1
    session.close()
    assert engine.closed == 1


@pytest.mark.parametrize(
    "count, sizes", [(0, []), (1, [4]), (4, [4]), (5, [5]), (8, [8]), (9, [8, 4]), (33, [8, 8, 8, 8, 4])]
)
def test_a_batch_is_split_above_the_largest_and_padded_below_the_smallest(count: int, sizes: list[int]) -> None:
    session, engine = strict_session(BatchRange(4, 4, 8))
    session.run(make_images(count))
    assert engine.sizes == sizes


@pytest.mark.parametrize("error", [AttributeError("no"), RuntimeError("no"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("with_out", [False, True])
@pytest.mark.parametrize("count", [1, 40])
def test_an_error_of_the_engine_surfaces_unchanged(error: BaseException, with_out: bool, count: int) -> None:
    session = Session(FailingEngine(error), make_spec(), BatchRange())
    with pytest.raises(type(error)) as caught:
        session.run(make_images(count), np.empty((count, CLASSES), np.float32) if with_out else None)
    assert caught.value is error


def test_a_session_preprocesses_to_what_it_takes(tiny_spec: ModelSpec) -> None:
    session, _ = strict_session()
    image = session.preprocess(np.zeros((20, 30, 3), np.uint8))
    assert (image.dtype, image.shape) == (np.uint8, tiny_spec.image_shape)
    assert session.run(image[None]).shape == (1, CLASSES)


def test_open_session_takes_a_path_a_string_or_a_bundle(tiny_bundle: Path) -> None:
    images = make_images(3)
    for bundle in (tiny_bundle, str(tiny_bundle), Bundle.open(tiny_bundle)):
        with open_session(bundle, threads=1) as session:
            assert session.spec == make_spec()
            np.testing.assert_allclose(session.run(images), expected_answers(images), atol=2e-5)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_backend_can_be_asked_for_by_name(tiny_bundle: Path, backend: str) -> None:
    if backend not in installed_backends():
        pytest.skip(f"{backend} does not run here")
    images = make_images(3)
    with open_session(tiny_bundle, backend=backend, device="CPU", threads=1, self_check=True) as session:
        assert type(session._engine).__module__ == f"runtime.backends.{backend}"
        np.testing.assert_allclose(session.run(images), expected_answers(images), atol=2e-5)


def test_a_cache_folder_is_used_and_the_answers_stay(tiny_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    images = make_images(1)
    for _ in range(2):
        with open_session(tiny_bundle, backend="openvino", threads=1, cache_dir=str(tmp_path)) as session:
            np.testing.assert_allclose(session.run(images), expected_answers(images), atol=2e-5)
    assert any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("threads", [0, -1])
def test_a_number_of_threads_below_one_is_refused(tiny_bundle: Path, threads: int) -> None:
    with pytest.raises(InputError, match="threads") as caught:
        open_session(tiny_bundle, threads=threads)
    assert caught.value.hint


def test_an_unknown_backend_is_refused_with_the_names_of_those_that_exist(tiny_bundle: Path) -> None:
    with pytest.raises(BackendError, match="nonsense") as caught:
        open_session(tiny_bundle, backend="nonsense")
    for name in CPU_BACKENDS:
        assert name in caught.value.hint


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_an_unknown_device_is_refused(tiny_bundle: Path, backend: str) -> None:
    if backend not in installed_backends():
        pytest.skip(f"{backend} does not run here")
    with pytest.raises(BackendError) as caught:
        open_session(tiny_bundle, backend=backend, device="NONSENSE")
    assert "device" in caught.value.hint


def test_a_bundle_for_what_is_not_installed_never_runs_on_something_else(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.backend.find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError):
        open_session(tiny_bundle)


def test_the_bundles_own_target_is_what_runs(tiny_bundle_copy: Path) -> None:
    reseal(tiny_bundle_copy, lambda values: values.update(target="other engine"))
    with pytest.raises(BackendError, match="other engine"):
        open_session(tiny_bundle_copy)
    open_session(tiny_bundle_copy, backend="onnxruntime").close()


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_the_self_check_refuses_other_weights_than_the_probe_was_made_with(
    tiny_bundle_copy: Path, tmp_path: Path, backend: str
) -> None:
    if backend not in installed_backends():
        pytest.skip(f"{backend} does not run here")
    write_model(tmp_path / "other.onnx", seed=9)
    reseal_file(tiny_bundle_copy, "model.onnx", (tmp_path / "other.onnx").read_bytes())
    with pytest.raises(SelfCheckError, match="probe") as caught:
        open_session(tiny_bundle_copy, backend=backend, self_check=True, threads=1)
    assert caught.value.hint
    open_session(tiny_bundle_copy, backend=backend, threads=1).close()


def test_a_failed_self_check_gives_the_engine_back(tiny_bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr("runtime.backends.onnxruntime.OnnxRuntimeEngine.close", lambda self: closed.append(True))
    reseal(tiny_bundle_copy, lambda values: values["probe"].update(limit=1e-300))
    with pytest.raises(SelfCheckError):
        bundle = Bundle.open(tiny_bundle_copy)
        bundle.probe.expected[...] = 0.25
        open_session(bundle, self_check=True)
    assert closed == [True]


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_bundle_opens_whatever_its_folder_is_called(backend: str, tiny_bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_bundle, os.fsdecode(os.fsencode(tmp_path) + b"/\xff \xc3\xbc"))
    with open_session(folder, backend=backend) as session:
        np.testing.assert_allclose(session.run(make_images(2)), expected_answers(make_images(2)), atol=1e-3)
