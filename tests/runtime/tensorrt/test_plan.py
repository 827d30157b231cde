"""Plans that are refused, refitted or allowed to run code; and what is kept for the next start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.backends.tensorrt.plan import HOST_CODE, NEEDED, STRIPPED, WEIGHTS
from runtime.errors import BackendError, DeviceMemoryError
from runtime.spec import BatchRange
from tests.runtime.tensorrt.rig import Rig, check_answers
from tests.runtime.tensorrt.stand_in import Plan
from tests.runtime.test_imports import python


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "picture"},
        {"answer": "logits"},
        {"image_type": "HALF"},
        {"answer_type": "HALF"},
        {"answer_format": "CHW4"},
        {"image_shape": (9, 8, 1)},
        {"image_shape": (8, 8, 3)},
        {"image_shape": (8, 8)},
        {"classes": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("dynamic", [True, False])
def test_another_models_plan_is_refused(tmp_path: Path, changes: dict[str, Any], dynamic: bool) -> None:
    rig = Rig(tmp_path, plan=replace(Plan(dynamic=dynamic), **changes))
    with pytest.raises(BackendError, match="does not take and give what tiny does") as caught:
        rig.open()
    assert "build it here" in caught.value.hint
    rig.cuda.check()


@pytest.mark.parametrize(
    "plan, batch",
    [
        (Plan(low=1, high=8), BatchRange(1, 1, 9)),
        (Plan(low=2, high=8), BatchRange(1, 4, 8)),
        (Plan(low=4, high=4, dynamic=False), BatchRange(1, 4, 4)),
        (Plan(low=4, high=4, dynamic=False), BatchRange(4, 4, 5)),
    ],
    ids=str,
)
def test_a_plan_for_fewer_sizes_is_refused(tmp_path: Path, plan: Plan, batch: BatchRange) -> None:
    rig = Rig(tmp_path, plan=plan)
    with pytest.raises(BackendError, match=f"not of {batch.smallest} to {batch.largest}") as caught:
        rig.open(batch)
    assert f"--batch {batch}" in caught.value.hint
    rig.cuda.check()


@pytest.mark.parametrize("data", [b"", b"no plan", None])
def test_what_is_no_plan_is_refused(tmp_path: Path, data: bytes | None) -> None:
    rig = Rig(tmp_path)
    rig.path.unlink()
    if data is not None:
        rig.path.write_bytes(data)
    with pytest.raises(BackendError, match=r"engine\.plan.*(kMAGIC_TAG|No such file)") as caught:
        rig.open()
    assert caught.value.hint
    rig.cuda.check()


@pytest.mark.parametrize(
    "reason, hint",
    [
        ("(cudaError 35: CUDA driver version is insufficient for CUDA runtime version)", "update NVIDIA's driver"),
        ("CUDA initialization failure with error: 35. Please check your CUDA installation", "update NVIDIA's driver"),
        ("CUDA initialization failure with error: 100. Please check your CUDA installation", "CUDA_VISIBLE_DEVICES"),
        ("CUDA initialization failure with error: 999. Please check your CUDA installation", "toolkit doctor"),
        ("(an illegal memory access was encountered)", "start it again"),
        ("not compatible with this version of TensorRT, expecting library version 10.3.0.30", "build it here"),
    ],
)
def test_the_hint_fits_what_tensorrt_logs(tmp_path: Path, reason: str, hint: str) -> None:
    rig = Rig(tmp_path)
    rig.cuda.broken, rig.cuda.reason = {"deserialize_cuda_engine"}, reason
    with pytest.raises(BackendError) as caught:
        rig.open()
    assert reason in caught.value.message and hint in caught.value.hint
    rig.cuda.check()


def test_the_error_that_led_to_the_last_one_is_told_too(tmp_path: Path) -> None:
    """TensorRT logs the cause first, and then what failed by it."""
    rig = Rig(tmp_path)
    rig.cuda.broken = {"deserialize_cuda_engine"}
    rig.cuda.reason = "Error Code 1: Cuda Runtime (out of memory)\nError Code 4: Engine deserialization failed."
    with pytest.raises(DeviceMemoryError, match=r"Engine deserialization failed\.; .*\(out of memory\)"):
        rig.open()
    rig.cuda.check()


REAL = """
import pathlib
import tensorrt_rtx as trt
from runtime.backend import EngineFile, EngineOptions
from runtime.backends.tensorrt.engine import open_engine
from runtime.backends.tensorrt.logger import make_logger
from runtime.errors import BackendError
from tests.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.tiny import make_spec
cuda, log = StandInCuda(), make_logger(trt)
try:
    open_engine(trt, cuda, EngineFile(pathlib.Path(sys.argv[1]), {}, None), make_spec(), EngineOptions(), log)
except BackendError as error:
    print(error.message)
cuda.check()
"""


def test_the_real_library_refuses_what_is_no_plan_likewise(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    (tmp_path / "engine.plan").write_bytes(b"no plan, though long enough for one" * 100)
    message = python(REAL, tmp_path / "engine.plan")
    assert message.startswith(f"TensorRT cannot load {tmp_path}/engine.plan: ")
    assert "magicTag" in message  # which it says first, of two errors where CUDA has no driver


@pytest.mark.parametrize("known_by", ["fingerprint", "options"])
def test_a_plan_that_runs_code_of_its_own_needs_trust(tmp_path: Path, known_by: str) -> None:
    rig = Rig(tmp_path, plan=Plan(host_code=True))
    options: dict[str, Any] = {}
    if known_by == "fingerprint":
        rig.fingerprint = {HOST_CODE: NEEDED}
    else:
        options["tensorrt"] = TensorRtOptions(version_compatible=True)
    with pytest.raises(BackendError, match="runs program code from the file") as caught:
        rig.open(**options)
    assert "--trust" in caught.value.hint
    assert rig.cuda.calls == []
    engine = rig.open(trust=True, **options)
    check_answers(engine, 2)
    engine.close()
    rig.cuda.check()


def test_a_plan_that_hides_its_code_is_refused_even_with_trust(tmp_path: Path) -> None:
    """What a bundle says of it is what was trusted."""
    rig = Rig(tmp_path, plan=Plan(host_code=True))
    with pytest.raises(BackendError, match="host code is not allowed"):
        rig.open(trust=True)
    rig.cuda.check()


@pytest.mark.parametrize("known_by", ["fingerprint", "options"])
def test_a_plan_without_weights_takes_them_from_the_model(tmp_path: Path, known_by: str) -> None:
    rig = Rig(tmp_path, plan=Plan(stripped=True))
    options: dict[str, Any] = {}
    if known_by == "fingerprint":
        rig.fingerprint = {WEIGHTS: STRIPPED}
    else:
        options["tensorrt"] = TensorRtOptions(strip_weights=True)
    engine = rig.open(**options)
    for size in (1, 5, 1):
        check_answers(engine, size)
    engine.close()
    rig.cuda.check()


@pytest.mark.parametrize(
    "broken", ["Refitter", "OnnxParserRefitter", "refit_from_file", "refit_cuda_engine", "deserialize_cuda_engine"]
)
def test_a_refit_that_fails_is_a_backend_error(tmp_path: Path, broken: str) -> None:
    rig = Rig(tmp_path, plan=Plan(stripped=True))
    rig.fingerprint = {WEIGHTS: STRIPPED}
    rig.cuda.broken = {broken}
    with pytest.raises(BackendError) as caught:
        rig.open()
    assert caught.value.message
    rig.cuda.check()


def test_a_refit_says_what_the_parser_says(tmp_path: Path) -> None:
    rig = Rig(tmp_path, plan=Plan(stripped=True))
    rig.fingerprint = {WEIGHTS: STRIPPED}
    rig.model.unlink()
    with pytest.raises(BackendError, match=r"model\.onnx; the model cannot be read"):
        rig.open()
    rig.cuda.check()


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_rtx_compiles_is_kept_for_the_next_start(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    rig = Rig(tmp_path, rtx=True)
    for size in (2, 3):
        engine = rig.open(cache_dir=cache)
        check_answers(engine, size)
        engine.close()
    assert rig.cuda.calls.count("deserialize") == 1
    (entry,) = entries(cache)
    assert entry.parent.name == "tensorrt_rtx"
    assert entry.read_bytes().endswith(b"[1, 2, 3]")
    written = entry.stat().st_mtime_ns, entry.stat().st_ino
    engine = rig.open(cache_dir=cache)
    check_answers(engine, 2)
    engine.close()
    assert entry.stat().st_ino == written[1]  # nothing new, nothing written
    rig.cuda.check()


@pytest.mark.parametrize("rtx", [True, False])
def test_nothing_is_kept_where_nothing_is_to_be_or_nothing_is_compiled(tmp_path: Path, rtx: bool) -> None:
    rig = Rig(tmp_path, rtx=rtx)
    engine = rig.open(cache_dir=None if rtx else tmp_path / "cache")
    check_answers(engine, 2)
    engine.close()
    assert entries(tmp_path / "cache") == []
    assert "serialize" not in rig.cuda.calls
    rig.cuda.check()


@pytest.mark.parametrize("broken", ["create_runtime_cache", "deserialize", "set_runtime_cache", "serialize"])
def test_a_cache_that_fails_is_done_without(tmp_path: Path, broken: str) -> None:
    rig = Rig(tmp_path, rtx=True)
    rig.open(cache_dir=tmp_path / "cache").close()
    rig.cuda.broken = {broken}
    engine = rig.open(cache_dir=tmp_path / "cache")
    check_answers(engine, 2)
    engine.close()
    assert rig.cuda.failed == [broken]
    rig.cuda.check()
