"""Code that uses TensorRT as the backend does, for `test_api.py`: it is read, never run.

A line that says `# wrong: ...` is wrong in these releases (`all` of them) and right in every other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorrt as trt


def make_logger(trt: Any, lines: list[str]) -> trt.ILogger:
    class Lines(trt.ILogger):  # type: ignore[misc]
        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if int(severity) <= int(trt.ILogger.Severity.WARNING) or severity == trt.Logger.ERROR:
                lines.append(msg)
            if severity == trt.ILogger.Severity.FATAL:  # wrong: all
                raise SystemExit(msg)

    return Lines()


def make_monitor(trt: Any) -> trt.IProgressMonitor:
    class Steps(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None: ...

        def phase_finish(self, phase_name: str) -> None: ...

        def step_complete(self, phase_name: str, steps: int, more: int) -> bool:  # wrong: all
            return True

    return Steps()


def configure(trt: Any, config: trt.IBuilderConfig, cache: bytes, capabilities: list[str]) -> None:
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 30)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size=1 << 30)  # wrong: all
    config.set_memory_pool_limits(trt.MemoryPoolType.WORKSPACE, 1 << 30)  # wrong: all
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.profiling_verbosity = trt.LayerInformationFormat.JSON  # wrong: all
    config.progress_monitor = make_monitor(trt=trt)
    config.set_flag(trt.BuilderFlag.REFIT)
    config.set_flag(trt.BuilderFlag.FP16)  # wrong: 11.4.0 rtx-1.7.1
    print(trt.CollectiveOperation.GATHER)  # wrong: 10.3.0 10.13.3 10.16.1
    if hasattr(trt.BuilderFlag, "FP16"):
        config.clear_flag(trt.BuilderFlag.FP16)
        config.clear_flag(flags=trt.BuilderFlag.FP16)  # wrong: 10.3.0 10.13.3 10.16.1
    if hasattr(config, "set_compute_capability") and hasattr(trt, "ComputeCapability"):
        config.num_compute_capabilities = len(capabilities)
        for index, name in enumerate(capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, name), index)
            config.set_compute_capability(getattr(trt.ComputeCapability, name), place=index)  # wrong: rtx-1.7.1
    elif capabilities:
        config.int8_calibrator = None  # wrong: 11.4.0
    config.set_timing_cache(config.create_timing_cache(cache), ignore_mismatch=False)


def build(trt: Any, model: bytes) -> bytes:
    logger = make_logger(trt, [])
    builder = trt.Builder(logger)
    typed = trt.NetworkDefinitionCreationFlag
    network = builder.create_network(1 << int(typed.STRONGLY_TYPED) if hasattr(typed, "STRONGLY_TYPED") else 0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise ValueError([parser.get_error(index).desc() for index in range(parser.num_errors)])
    config = builder.create_builder_config()
    configure(trt, config, b"", [])
    config.build_route = None  # wrong: 10.3.0 10.13.3 10.16.1
    profile = builder.create_optimization_profile()
    profile.set_shape(network.get_input(0).name, (1, 28, 28, 1), opt=(1, 28, 28, 1), max=[32, 28, 28, 1])
    profile.set_shape(network.get_input(0).name, (1, 28, 28, 1), (1, 28, 28, 1))  # wrong: all
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    print(plan.nbytes)  # wrong: all
    if plan is None:
        raise ValueError
    return bytes(plan)


@dataclass
class Loaded:
    trt: Any
    engine: trt.ICudaEngine

    def shape(self, name: str) -> tuple[int, ...]:
        if self.engine.get_tensor_mode(name) == self.trt.TensorIOMode.INPUT:
            return tuple(self.engine.get_tensor_shape(name))
        if self.engine.get_tensor_mode(name) == self.trt.TensorIOMode.BOTH:  # wrong: all
            return ()
        return tuple(self.engine.get_binding_shape(name))  # wrong: all

    def capacity(self) -> int:
        return int(self.engine.device_memory_size)  # wrong: 11.4.0 rtx-1.7.1


def load(product: Any, plan: bytes) -> Loaded:
    trt = product.load()
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise ValueError
    loaded = Loaded(trt=trt, engine=engine)
    if not hasattr(runtime, "get_engine_validity"):
        return loaded
    runtime.get_engine_validity(plan, True)  # wrong: rtx-1.7.1
    return loaded


class Runner:
    def __init__(self, loaded: Loaded) -> None:
        self._trt = loaded.trt
        self._context = loaded.engine.create_execution_context(self._trt.ExecutionContextAllocationStrategy.STATIC)
        self._level = self._trt.ExecutionContextAllocationStrategy.DYNAMIC  # wrong: all

    def run(self, stream: int) -> None:
        if self._context is not None:
            self._context.execute_async_v3(stream)
            self._context.execute_async_v3(stream=stream)  # wrong: all
            self._context.execute_async_v2(stream)  # wrong: all
