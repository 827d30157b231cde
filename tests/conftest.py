"""Fixtures that are expensive: one real build of lenet serves every test that needs a bundle."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from runtime.spec import ModelSpec
from tests import torchlib, zygote
from tests.command import ROOT, environment, toolkit
from tests.device import Device, a_device, missing

# A timing is never a test: on a machine that has other work an example takes as long as it takes.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def cheap_exports() -> None:
    """Only where a test has imported PyTorch: to import it takes five seconds."""
    if "torch" in sys.modules:
        torchlib.keep()


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests and their processes make for themselves out of the user's cache folder, and what is there out."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@contextmanager
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str, name: str) -> Iterator[Path]:
    """A folder that the workers of pytest-xdist share, held by one of them at a time."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / name
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield root


@pytest.fixture(scope="session")
def lenet_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with what one `toolkit build lenet --int8 --json` printed, and the bundle that it wrote."""
    with shared_folder(tmp_path_factory, worker_id, "lenet-build") as root:
        if not (root / "out").exists():
            (root / "bundles").mkdir(exist_ok=True)
            done = toolkit("build", "lenet", "--int8", "--json", cwd=root / "bundles", fresh=True)
            assert done.returncode == 0, done.stderr
            (root / "err").write_text(done.stderr)
            (root / "out").write_text(done.stdout)
    return root


@pytest.fixture(scope="session")
def lenet_output(lenet_folder: Path) -> tuple[str, str]:
    """Standard output and standard error of the build."""
    return (lenet_folder / "out").read_text(), (lenet_folder / "err").read_text()


@pytest.fixture(scope="session")
def lenet_build(lenet_output: tuple[str, str]) -> dict[str, Any]:
    """The JSON of the build."""
    result: dict[str, Any] = json.loads(lenet_output[0])
    return result


@pytest.fixture(scope="session")
def lenet_bundle(lenet_folder: Path) -> Path:
    """The bundle: not to be changed."""
    return lenet_folder / "bundles" / "lenet-int8"


@pytest.fixture
def lenet_bundle_copy(lenet_bundle: Path, tmp_path: Path) -> Path:
    """A bundle to damage."""
    return Path(shutil.copytree(lenet_bundle, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 500 test digits, for what asks nothing of an accuracy on all 10,000: not to be changed."""
    folder, count = tmp_path_factory.mktemp("few-digits"), 500
    for name, header, size in (("images-idx3", 16, 28 * 28), ("labels-idx1", 8, 1)):
        data = gzip.decompress((ROOT / "runtime" / "data" / "mnist" / f"t10k-{name}-ubyte.gz").read_bytes())
        head = data[:4] + count.to_bytes(4, "big") + data[8:header]
        (folder / f"t10k-{name}-ubyte").write_bytes(head + data[header : header + count * size])
    return folder


@pytest.fixture
def tiny_spec() -> ModelSpec:
    """The spec of a classifier of 8x8 pixels."""
    from tests.tiny import make_spec

    return make_spec()


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle that is built without PyTorch and ONNX in no time: not to be changed."""
    from tests.tiny import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="session")
def tiny_int8_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle for OpenVINO whose one layer is in INT8: not to be changed."""
    from tests.tiny import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("tiny-int8") / "tiny-int8", precision="int8")


@pytest.fixture
def tiny_bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A small bundle to damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def lenet_fp32(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The FP32 graph of lenet, exported once for all workers: not to be changed."""
    return fp32_graph("lenet", tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def lenet_28_fp32(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The same of lenet-28."""
    return fp32_graph("lenet-28", tmp_path_factory, worker_id)


def fp32_graph(name: str, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The FP32 graph of a model of the zoo."""
    with shared_folder(tmp_path_factory, worker_id, f"{name}-fp32") as root:
        if not (root / "done").exists():
            done = zygote.run("tests.export.lenet", [name, str(root / "lenet.onnx")], ROOT, environment())
            assert done.code == 0, done.err
            (root / "done").touch()
    return root / "lenet.onnx"


@pytest.fixture(scope="session")
def device() -> Iterator[Device]:
    """A machine for `--on`, which each test leaves as it was."""
    if lacking := missing():
        pytest.skip(lacking)
    with a_device() as made:
        yield made
