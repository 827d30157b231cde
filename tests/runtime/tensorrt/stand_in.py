"""NOT TensorRT: a stand-in for it, for tests on machines without a GPU. It proves nothing about a real one.

Its plans hold an ONNX model, which ONNX Runtime runs on the CPU behind TensorRT's names. Like `stand_in_cuda.py`, on
which it runs, it holds its caller to the rules, and lets any call fail as TensorRT's do: by None, False or, in a
constructor, a TypeError.
"""

from __future__ import annotations

import json
import weakref
from dataclasses import asdict, dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime as ort

from tests.runtime.tensorrt.stand_in_cuda import StandInCuda, require
from tests.tiny import CLASSES, SIDE

MAGIC = b"a stand-in's plan\n"
DataType = Enum("DataType", ["FLOAT", "HALF", "UINT8"])
TensorIOMode = Enum("TensorIOMode", ["INPUT", "OUTPUT"])
TensorFormat = Enum("TensorFormat", ["LINEAR", "CHW4"])
Strategy = Enum("Strategy", ["STATIC", "USER_MANAGED"])
Kernels = Enum("Kernels", ["LAZY", "EAGER", "NONE"])


@dataclass(frozen=True)
class Plan:
    """What a stand-in's plan says of itself."""

    low: int = 1
    high: int = 32
    dynamic: bool = True
    image: str = "image"
    answer: str = "probabilities"
    image_type: str = "UINT8"
    answer_type: str = "FLOAT"
    answer_format: str = "LINEAR"
    image_shape: tuple[int, ...] = (SIDE, SIDE, 1)
    classes: int = CLASSES
    scratch: int = 1000
    host_code: bool = False
    stripped: bool = False

    def write(self, model: Path, path: Path) -> Path:
        """Write a plan of an ONNX model."""
        weights = b"" if self.stripped else model.read_bytes()
        path.write_bytes(MAGIC + json.dumps(asdict(self)).encode() + b"\n" + weights)
        return path


class ILogger:
    WARNING, ERROR, INTERNAL_ERROR = range(3)


class Log:
    """Meets `ErrorLog`."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def log(self, severity: int, msg: str) -> None:
        self.errors.append(msg)

    def take(self) -> list[str]:
        errors, self.errors = self.errors, []
        return errors


class Living:
    """An object of TensorRT's, which may neither be made nor dropped without its device's context."""

    def __init__(self, cuda: StandInCuda, log: Log) -> None:
        self.cuda, self.log = cuda, log
        self.device = cuda.current()
        cuda.objects += 1

    def __del__(self) -> None:
        if not hasattr(self, "device"):
            return
        self.cuda.objects -= 1
        stack = self.cuda.stack()
        if not stack or stack[-1] not in self.cuda.holds or stack[-1].device != self.device:
            self.cuda.breaches.append(f"{type(self).__name__} was dropped outside its context")

    def fails(self, call: str) -> bool:
        require(self.cuda.current() == self.device, f"{call} in another device's context")
        if self.cuda.fails(call):
            for reason in (self.cuda.reason or f"{call} was told to fail").splitlines():
                self.refuse(reason)
            return True
        return False

    def refuse(self, reason: str) -> None:
        self.log.log(ILogger.ERROR, reason)


class Runtime(Living):
    engine_host_code_allowed = False

    def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
        if self.fails("deserialize_cuda_engine"):
            return None
        if not data.startswith(MAGIC):
            return self.refuse("Serialization assertion magicTagRead == kMAGIC_TAG failed")
        head, _, model = data[len(MAGIC) :].partition(b"\n")
        plan = Plan(**json.loads(head))
        if plan.host_code and not self.engine_host_code_allowed:
            return self.refuse("host code is not allowed")
        return Engine(self, plan, model)


class Engine(Living):
    num_optimization_profiles = 1
    num_io_tensors = 2

    def __init__(self, runtime: Runtime, plan: Plan, model: bytes) -> None:
        super().__init__(runtime.cuda, runtime.log)
        self.runtime, self.plan, self.refitted = runtime, plan, b""
        self.session = open_session(model) if model else None
        self.device_memory_size_v2 = plan.scratch

    def get_tensor_name(self, index: int) -> str:
        return (self.plan.image, self.plan.answer)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return TensorIOMode.INPUT if name == self.plan.image else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return DataType[self.plan.image_type if name == self.plan.image else self.plan.answer_type]

    def get_tensor_format(self, name: str) -> Any:
        return TensorFormat.LINEAR if name == self.plan.image else TensorFormat[self.plan.answer_format]

    def get_tensor_shape(self, name: str) -> list[int]:
        rest = self.plan.image_shape if name == self.plan.image else (self.plan.classes,)
        return [-1 if self.plan.dynamic else self.plan.high, *rest]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[list[int]]:
        require(name == self.plan.image and profile == 0 and self.plan.dynamic, "no such profile")
        return [[size, *self.plan.image_shape] for size in (self.plan.low, self.plan.low, self.plan.high)]

    def create_runtime_config(self) -> RuntimeConfig | None:
        return None if self.fails("create_runtime_config") else RuntimeConfig(self.cuda, self.log)

    def create_execution_context(
        self, strategy: Any = None, *, runtime_config: RuntimeConfig | None = None
    ) -> ExecutionContext | None:
        if self.fails("create_execution_context"):
            return None
        require(self.session is not None, "a context of an engine without weights")
        if runtime_config is None:
            return ExecutionContext(self, strategy, None)
        return RtxContext(self, runtime_config.strategy, runtime_config)


class RuntimeConfig(Living):
    strategy: Any = Strategy.STATIC
    cache: RuntimeCache | None = None
    dynamic_shapes_kernel_specialization_strategy = Kernels.LAZY

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> RuntimeCache | None:
        return None if self.fails("create_runtime_cache") else RuntimeCache(self.cuda, self.log)

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        self.cache = cache
        return not self.fails("set_runtime_cache")


class RuntimeCache(Living):
    """Remembers the batch sizes that were compiled."""

    def __init__(self, cuda: StandInCuda, log: Log) -> None:
        super().__init__(cuda, log)
        self.compiled: set[int] = set()

    def deserialize(self, data: bytes) -> bool:
        if self.fails("deserialize"):
            return False
        self.compiled = set(json.loads(data))
        return True

    def serialize(self) -> bytes | None:
        return None if self.fails("serialize") else json.dumps(sorted(self.compiled)).encode()


class ExecutionContext(Living):
    def __init__(self, engine: Engine, strategy: Any, config: RuntimeConfig | None) -> None:
        super().__init__(engine.cuda, engine.log)
        self.engine, self.strategy, self.config = engine, strategy, config
        self.size = 0
        self.shapes_set = 0
        self.warm = False
        self.addresses: dict[str, int] = {}
        self.scratch: tuple[int, int] | None = None

    def set_device_memory(self, memory: int, size: int) -> None:
        require(size >= self.engine.plan.scratch and memory % 256 == 0, "the scratch memory is too small")
        self.cuda.at(memory, size)
        self.scratch = (memory, size)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if self.fails("set_input_shape"):
            return False
        plan = self.engine.plan
        if name != plan.image or list(shape[1:]) != list(plan.image_shape) or not plan.low <= shape[0] <= plan.high:
            self.refuse(f"'{name}' takes no shape {shape}")
            return False
        self.size, self.shapes_set, self.warm = shape[0], self.shapes_set + 1, False
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if self.fails("set_tensor_address"):
            return False
        require(name in (self.engine.plan.image, self.engine.plan.answer), f"no tensor '{name}'")
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        stream = self.cuda.stream(stream_handle)
        require(self.size, "no input shape is set")
        require(len(self.addresses) == 2, "an address is not set")
        require(self.strategy is Strategy.USER_MANAGED or not self.engine.plan.scratch, "memory is its own")
        require(self.scratch or not self.engine.plan.scratch, "there is no scratch memory")
        require(stream.recording is None or self.warm, "captured without a run before, for this shape")
        self.memory(self.addresses)
        if self.fails("execute_async_v3"):
            return False
        self.warm = True
        if self.config is not None and self.config.cache is not None:
            self.config.cache.compiled.add(self.size)
        # A graph holds the context by nothing that would keep it alive.
        self.cuda.submit(stream, partial(compute, weakref.ref(self), self.shapes_set, dict(self.addresses)))
        return True

    def memory(self, addresses: dict[str, int]) -> tuple[Any, Any]:
        """Where images and answers are."""
        plan = self.engine.plan
        images = self.cuda.at(addresses[plan.image], self.size * int(np.prod(plan.image_shape)))
        answers = self.cuda.at(addresses[plan.answer], self.size * plan.classes * 4)
        if self.scratch:
            self.cuda.at(*self.scratch)[:] = 0  # whatever was there is lost
        return images.reshape(self.size, *plan.image_shape), answers


class RtxContext(ExecutionContext):
    def is_stream_capturable(self, stream: int) -> bool:
        self.cuda.stream(stream)
        return not self.fails("is_stream_capturable")


def compute(context: weakref.ref[ExecutionContext], shapes_set: int, addresses: dict[str, int]) -> None:
    """What an enqueued run does when its turn comes, with the addresses that were set when it was queued."""
    found = context()
    require(found is not None, "work outlives its execution context")
    assert found is not None
    require(found.shapes_set == shapes_set, "the context has taken another shape since")
    images, answers = found.memory(addresses)
    answers[:] = found.engine.session.run(None, {"image": images})[0].view(np.uint8).reshape(-1)


class Refitter(Living):
    def __init__(self, engine: Engine, log: Log) -> None:
        super().__init__(engine.cuda, log)
        self.engine = engine

    def refit_cuda_engine(self) -> bool:
        if self.fails("refit_cuda_engine"):
            return False
        self.engine.session = open_session(self.engine.refitted)
        return True


class OnnxParserRefitter(Living):
    def __init__(self, refitter: Refitter, log: Log) -> None:
        super().__init__(refitter.cuda, log)
        self.refitter, self.num_errors = refitter, 0

    def refit_from_file(self, model: str) -> bool:
        if self.fails("refit_from_file") or not Path(model).is_file():
            self.num_errors = 1
            return False
        self.refitter.engine.refitted = Path(model).read_bytes()
        return True

    def get_error(self, index: int) -> Any:
        require(index < self.num_errors, "no such error")

        class ParserError:
            def desc(self) -> str:
                return "the model cannot be read"

        return ParserError()


def open_session(model: bytes) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    return ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def make_trt(cuda: StandInCuda, *, rtx: bool = False) -> Any:
    """The module, over a driver."""

    def constructor(kind: Any, first: Any = None) -> Any:
        def construct(*arguments: Any) -> Any:
            cuda.current()
            if cuda.fails(kind.__name__):
                raise TypeError("pybind11::init(): factory function returned nullptr")
            return kind(*(() if first is None else (first,)), *arguments)

        construct.__name__ = kind.__name__
        return construct

    trt: Any = ModuleType("tensorrt_rtx" if rtx else "tensorrt")
    trt.__version__ = "99.0"
    trt.Runtime = constructor(Runtime, cuda)
    trt.Refitter = constructor(Refitter)
    trt.OnnxParserRefitter = constructor(OnnxParserRefitter)
    trt.DataType, trt.TensorIOMode, trt.TensorFormat = DataType, TensorIOMode, TensorFormat
    trt.ILogger = ILogger
    trt.ExecutionContextAllocationStrategy = Strategy
    if rtx:
        trt.IRuntimeCache, trt.DynamicShapesKernelSpecializationStrategy = RuntimeCache, Kernels
    return trt
