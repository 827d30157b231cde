"""The stand-ins notice what breaks a rule, and have no method that the real library lacks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.tensorrt import stand_in
from tests.runtime.tensorrt.rig import Rig
from tests.runtime.tensorrt.stand_in_cuda import Breach

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


class Bench:
    """A context of the tiny model with all that it takes, by hand."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder)
        self.cuda, trt = self.rig.cuda, self.rig.trt
        self.hold = self.cuda.retain(0)
        self.cuda.push(self.hold)
        self.stream = self.cuda.create_stream()
        self.images, self.answers, self.scratch = (self.cuda.allocate(size) for size in (2 * 64, 2 * 16, 1000))
        self.host = self.cuda.allocate_host(2 * 64)
        engine = trt.Runtime(self.rig.log).deserialize_cuda_engine(self.rig.path.read_bytes())
        self.context: Any = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)

    def prepare(self, size: int = 2) -> None:
        self.context.set_device_memory(self.scratch, 1000)
        self.context.set_input_shape("image", (size, 8, 8, 1))
        self.context.set_tensor_address("image", self.images)
        self.context.set_tensor_address("probabilities", self.answers)

    def run(self) -> None:
        assert self.context.execute_async_v3(self.stream)

    def capture(self) -> int:
        self.run()
        self.cuda.synchronize(self.stream)
        self.cuda.begin_capture(self.stream)
        self.run()
        return self.cuda.end_capture(self.stream)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.context = None
    while bench.cuda.stack():
        bench.cuda.pop()


def test_work_waits_until_the_stream_is_synchronized(bench: Bench) -> None:
    bench.prepare()
    bench.run()
    assert (bench.cuda.at(bench.answers, 32) == 0xCD).all()
    bench.cuda.synchronize(bench.stream)
    assert not (bench.cuda.at(bench.answers, 32) == 0xCD).all()


def test_an_enqueue_needs_shape_addresses_and_scratch_memory(bench: Bench) -> None:
    for rule, step in (
        ("no input shape", lambda: bench.context.set_input_shape("image", (1, 8, 8, 1))),
        ("address", lambda: bench.context.set_tensor_address("image", bench.images)),
        ("address", lambda: bench.context.set_tensor_address("probabilities", bench.answers)),
        ("scratch", lambda: bench.context.set_device_memory(bench.scratch, 1000)),
    ):
        with pytest.raises(Breach, match=rule):
            bench.run()
        step()
    bench.run()
    bench.cuda.synchronize(bench.stream)


def test_buffers_must_be_large_enough_and_alive(bench: Bench) -> None:
    bench.prepare(3)
    with pytest.raises(Breach, match="end behind their block"):
        bench.run()
    bench.prepare(2)
    bench.context.set_tensor_address("image", bench.host.address)
    with pytest.raises(Breach, match="no live address"):
        bench.run()
    bench.prepare(2)
    bench.run()
    bench.cuda.free(bench.answers)
    with pytest.raises(Breach, match="no live address"):
        bench.cuda.synchronize(bench.stream)


@pytest.mark.parametrize(
    "call", ["synchronize", "allocate", "allocate_host", "free", "create_event", "launch", "record", "begin_capture"]
)
def test_a_capture_allows_no_other_calls(bench: Bench, call: str) -> None:
    arguments = {
        "synchronize": (bench.stream,),
        "allocate": (4,),
        "allocate_host": (4,),
        "free": (bench.images,),
        "launch": (1, bench.stream),
        "record": (1, bench.stream),
        "begin_capture": (bench.stream,),
    }
    bench.prepare()
    bench.cuda.begin_capture(bench.stream)
    with pytest.raises(Breach, match="captures a stream"):
        getattr(bench.cuda, call)(*arguments.get(call, ()))


def test_a_shape_is_run_before_it_is_captured(bench: Bench) -> None:
    bench.prepare()
    bench.cuda.begin_capture(bench.stream)
    with pytest.raises(Breach, match="without a run before"):
        bench.run()


def test_a_capture_runs_nothing_and_a_graph_runs_what_was_captured(bench: Bench) -> None:
    bench.prepare()
    graph = bench.capture()
    bench.cuda.at(bench.answers, 32)[:] = 0
    other = bench.cuda.allocate(32)
    bench.context.set_tensor_address("probabilities", other)
    assert not bench.cuda.streams[bench.stream].queue
    bench.cuda.launch(graph, bench.stream)
    bench.cuda.synchronize(bench.stream)
    assert bench.cuda.at(bench.answers, 32).any() and (bench.cuda.at(other, 32) == 0xCD).all()


def test_a_graph_ends_with_its_context_and_its_shape(bench: Bench) -> None:
    bench.prepare()
    graph = bench.capture()
    bench.context.set_input_shape("image", (1, 8, 8, 1))
    bench.cuda.launch(graph, bench.stream)
    with pytest.raises(Breach, match="another shape"):
        bench.cuda.synchronize(bench.stream)
    bench.context = None
    bench.cuda.launch(graph, bench.stream)
    with pytest.raises(Breach, match="outlives"):
        bench.cuda.synchronize(bench.stream)


def test_everything_is_given_back_once(bench: Bench) -> None:
    cuda = bench.cuda
    bench.prepare()
    graph, event = bench.capture(), cuda.create_event()
    for give_back, what in (
        (cuda.free, bench.images),
        (cuda.free_host, bench.host),
        (cuda.destroy_graph, graph),
        (cuda.destroy_event, event),
        (cuda.destroy_stream, bench.stream),
    ):
        give_back(what)
        with pytest.raises(Breach):
            give_back(what)
    with pytest.raises(Breach, match="current"):
        cuda.release(bench.hold)


def test_what_is_left_or_dropped_too_late_is_noticed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(AssertionError, match="device memory"):
        bench.cuda.check()
    bench.cuda.pop()
    bench.cuda.release(bench.hold)
    bench.context = None
    assert any("outside its context" in breach for breach in bench.cuda.breaches)
