"""Which package makes the calls, and what is said where none can."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime import nvidia
from runtime.backends import cuda as cuda_package
from runtime.backends.cuda import open_cuda
from runtime.errors import BackendUnavailableError
from tests.runtime.tensorrt.test_cuda_bindings import CUresult, FakeDriver
from tests.runtime.tensorrt.test_pycuda import Error, FakePyCuda


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What can be imported; an exception is what importing raises."""
    there: dict[str, Any] = {}

    def load(name: str) -> Any:
        found = there.get(name, ModuleNotFoundError(f"No module named '{name}'"))
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(cuda_package, "import_module", load)
    return there


def test_cuda_python_comes_first(modules: dict[str, Any]) -> None:
    modules["cuda.bindings.driver"] = FakeDriver()
    modules["pycuda.driver"] = FakePyCuda()
    assert open_cuda().name == "cuda-python"
    del modules["cuda.bindings.driver"]
    assert open_cuda().name == "pycuda"


def test_without_a_package_the_hint_installs_one(modules: dict[str, Any]) -> None:
    with pytest.raises(BackendUnavailableError, match="neither cuda-python nor pycuda is installed") as caught:
        open_cuda()
    assert caught.value.hint == "pip install cuda-python"


@pytest.mark.parametrize("release, package", [("R36 (release)", "'cuda-python==12.*'"), ("R38", "cuda-python")])
def test_a_jetson_gets_the_package_for_its_cuda(
    modules: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, package: str
) -> None:
    (tmp_path / "release").write_text(f"# {release}, REVISION: 4.3, GCID: 38968081, BOARD: generic")
    monkeypatch.setattr(nvidia, "TEGRA_RELEASE", tmp_path / "release")
    with pytest.raises(BackendUnavailableError) as caught:
        open_cuda()
    assert caught.value.hint == f"pip install {package}"


def test_without_a_driver_the_hint_looks_for_one(modules: dict[str, Any]) -> None:
    driver = FakeDriver()
    driver.cuInit = no_driver  # type: ignore[method-assign]
    modules["cuda.bindings.driver"] = driver
    with pytest.raises(BackendUnavailableError, match=r"cuInit failed: .*libcuda") as caught:
        open_cuda()
    assert "nvidia-smi" in caught.value.hint


def no_driver(flags: int) -> Any:
    raise RuntimeError("libcuda.so.1 was not found")


def test_without_a_gpu_both_packages_say_so(modules: dict[str, Any]) -> None:
    driver, other = FakeDriver(), FakePyCuda()
    driver.failing["cuInit"] = CUresult.CUDA_ERROR_NO_DEVICE
    other.failing["init"] = Error("cuInit failed: no CUDA-capable device is detected")
    modules.update({"cuda.bindings.driver": driver, "pycuda.driver": other})
    with pytest.raises(BackendUnavailableError, match=r"CUDA_ERROR_NO_DEVICE.*no CUDA-capable device") as caught:
        open_cuda()
    assert "nvidia-smi" in caught.value.hint


def test_where_cuda_python_is_for_another_driver_pycuda_serves(modules: dict[str, Any]) -> None:
    modules["cuda.bindings.driver"] = SimpleNamespace()  # with no function at all
    modules["pycuda.driver"] = FakePyCuda()
    assert open_cuda().name == "pycuda"


@pytest.mark.parametrize("kind", [ImportError, OSError])
def test_a_package_that_breaks_on_import_is_told_of(modules: dict[str, Any], kind: type[Exception]) -> None:
    modules["pycuda.driver"] = kind("libcuda.so.1: cannot open shared object file")
    with pytest.raises(BackendUnavailableError, match="libcuda") as caught:
        open_cuda()
    assert "nvidia-smi" in caught.value.hint


def test_the_real_package_without_a_driver() -> None:
    pytest.importorskip("cuda.bindings.driver")
    try:
        cuda = open_cuda()
    except BackendUnavailableError as error:
        assert "no NVIDIA driver is here" in error.message and "nvidia-smi" in error.hint
    else:
        assert cuda.driver_version()


def test_nothing_of_it_is_loaded_before_it_is_needed() -> None:
    from tests.runtime.test_imports import python

    code = "import runtime.backends.tensorrt.engine, runtime.backends.cuda\nprint(*sys.modules)"
    loaded = python(code).split()
    assert {"cuda", "pycuda", "tensorrt", "tensorrt_rtx"}.isdisjoint(loaded)
