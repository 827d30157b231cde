"""The table of backends, and what each says of itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from runtime.backend import BACKENDS, EngineOptions, available_cores, get_backend, installed_backends, require_backend
from runtime.errors import BackendError, BackendUnavailableError
from runtime.progress import SilentProgress
from runtime.spec import BatchRange
from tests.tiny import expected_answers, make_images, make_spec, write_model

CPU_BACKENDS = ("openvino", "onnxruntime")  # tests/runtime/tensorrt has those of TensorRT


@pytest.fixture(params=CPU_BACKENDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def here(name: str) -> str:
    """A backend that runs on this machine."""
    if name not in installed_backends():
        pytest.skip(f"{name} does not run here")
    return name


def test_both_cpu_backends_are_installed() -> None:
    """Else their tests would be skipped without a word."""
    assert {"onnxruntime", "openvino"} <= set(installed_backends())


def test_a_backend_says_its_version_and_device(here: str) -> None:
    availability = get_backend(here).available()
    assert availability.ok
    assert availability.version[0].isdigit()
    assert availability.device
    assert (availability.reason, availability.command) == ("", "")


def test_a_backend_that_is_not_installed_says_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.backend.find_spec", lambda package: None)
    assert not get_backend(name).available().ok
    assert name not in installed_backends()
    with pytest.raises(BackendUnavailableError, match=f"{name} does not run here: .*not installed") as caught:
        require_backend(name)
    assert caught.value.hint == f"pip install {name}"


def test_a_package_that_is_blocked_counts_as_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    assert not get_backend(name).available().ok


@pytest.mark.parametrize("kind", [ImportError, OSError, RuntimeError])
def test_a_package_that_breaks_on_import_counts_as_one_that_does_not_run(
    name: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise kind("wrong ELF class")

    monkeypatch.setattr(f"runtime.backends.{name}.{name}", broken)
    availability = get_backend(name).available()
    assert not availability.ok and "wrong ELF class" in availability.reason
    assert name not in installed_backends()


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Exception from core.cpp:268:\nCannot load library: failed to map segment\n\n", "failed to map segment"),
        ("", "RuntimeError"),
    ],
)
def test_an_openvino_that_does_not_start_is_one_that_does_not_run(
    message: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError(message)

    monkeypatch.setattr("runtime.backends.openvino.core", broken)
    availability = get_backend("openvino").available()
    assert not availability.ok and told in availability.reason


def test_an_unknown_name_is_refused_with_the_names_that_exist() -> None:
    for name in ("", "tensor rt", "OPENVINO"):
        with pytest.raises(BackendError) as caught:
            require_backend(name)
        assert type(caught.value) is BackendError
        assert all(known in caught.value.hint for known in BACKENDS)


def test_installed_backends_keep_the_tables_order() -> None:
    assert installed_backends() == [name for name in BACKENDS if get_backend(name).available().ok]


def test_threads_default_to_the_cores_that_this_process_may_use() -> None:
    assert EngineOptions().threads == available_cores() >= 1


def test_compiling_names_the_model_itself_and_writes_nothing(here: str, tmp_path: Path) -> None:
    model, out = tmp_path / "model.onnx", tmp_path / "out"
    out.mkdir()
    write_model(model)
    before = model.read_bytes()
    backend = get_backend(here)
    file = backend.compile(model, out, make_spec(), EngineOptions(threads=1), SilentProgress())
    assert file.path == model
    assert dict(file.fingerprint) == {}
    assert file.layers is not None and file.layers["fc"] == "fp32"
    assert list(out.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "out"]
    assert model.read_bytes() == before
    engine = backend.load(file, make_spec(), EngineOptions(threads=1))
    answer = np.empty((1, 4), np.float32)
    engine.run(make_images(1), answer)
    engine.close()
    assert answer.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("batch", [1, 4])
def test_an_int8_graph_gives_what_its_rounded_weights_give(here: str, tmp_path: Path, batch: int) -> None:
    write_model(tmp_path / "model.onnx", precision="int8")
    options = EngineOptions("int8", BatchRange(batch, batch, batch), threads=1, reduced_range=True)
    backend = get_backend(here)
    file = backend.compile(tmp_path / "model.onnx", tmp_path, make_spec(), options, SilentProgress())
    assert file.layers is not None and file.layers["fc"] == {"openvino": "int8", "onnxruntime": "fp32"}[here]
    images, answer = make_images(batch), np.empty((batch, 4), np.float32)
    engine = backend.load(file, make_spec(), options)
    engine.run(images, answer)
    engine.close()
    np.testing.assert_allclose(answer, expected_answers(images, precision="int8"), atol=2e-5)


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_model_that_cannot_be_read_is_a_backend_error(here: str, tmp_path: Path, content: bytes | None) -> None:
    model = tmp_path / "model.onnx"
    if content is not None:
        model.write_bytes(content)
    with pytest.raises(BackendError, match=r"model\.onnx") as caught:
        get_backend(here).compile(model, tmp_path, make_spec(), EngineOptions(threads=1), SilentProgress())
    assert caught.value.hint
