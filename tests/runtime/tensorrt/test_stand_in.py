"""The stand-in has no method that the real library lacks."""

from __future__ import annotations

import inspect

import pytest

from tests.runtime.tensorrt import stand_in

REAL = {
    "Runtime": stand_in.Runtime,
    "ICudaEngine": stand_in.Engine,
    "IExecutionContext": stand_in.RtxContext,
    "IRuntimeConfig": stand_in.RuntimeConfig,
    "IRuntimeCache": stand_in.RuntimeCache,
    "Refitter": stand_in.Refitter,
    "OnnxParserRefitter": stand_in.OnnxParserRefitter,
}
OWN = {"fails", "refuse", "memory", "strategy", "cache"}


@pytest.mark.parametrize("name", REAL)
def test_tensorrt_for_rtx_has_the_same_names(name: str) -> None:
    real = getattr(pytest.importorskip("tensorrt_rtx"), name)
    ours = {key for key, _ in inspect.getmembers(REAL[name]) if not key.startswith("_")} - OWN
    assert ours and ours <= set(dir(real))


def test_tensorrt_for_rtx_has_the_same_enumerations() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    for name, ours in {
        "DataType": stand_in.DataType,
        "TensorIOMode": stand_in.TensorIOMode,
        "TensorFormat": stand_in.TensorFormat,
        "ExecutionContextAllocationStrategy": stand_in.Strategy,
        "DynamicShapesKernelSpecializationStrategy": stand_in.Kernels,
    }.items():
        assert {member.name for member in ours} <= set(getattr(trt, name).__members__)
