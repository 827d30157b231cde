"""One build, in a process of its own: reads a `Request`, writes events, and a plan where all went well.

Its end is the parent's business (build.py): a native crash, the kernel's out-of-memory killer and Ctrl-C all look alike
from there, and nothing but a temporary file can be left.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from runtime.backends.tensorrt.events import Event, Failure, Finish, Log, Request, Start, Step, Success
from runtime.backends.tensorrt.failures import is_error, reason_of
from runtime.backends.tensorrt.layers import count_reformats, executed, from_inspector, from_log
from runtime.backends.tensorrt.product import PRODUCTS, load_module
from runtime.child import peak_bytes
from runtime.folder import naming

if TYPE_CHECKING:
    import tensorrt as trt

Send: TypeAlias = Callable[[Event], None]
KEPT_LINES = 20_000  # of the detailed log
SHORT = re.compile(r"insuff?icient memory|device memory is insufficient|due to oom", re.IGNORECASE)  # its own spelling


def main() -> None:
    """Build what standard input asks for; events go to the file descriptor that the command line names."""
    with suppress(OSError):  # where memory runs out this is the one to end: our parent tells of it
        Path("/proc/self/oom_score_adj").write_text("1000")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the parent, who ends this
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    lock = Lock()  # TensorRT logs from threads of its own
    with os.fdopen(int(sys.argv[1]), "wb") as pipe:

        def send(event: Event) -> None:
            with lock:
                pipe.write(msgspec.json.encode(event) + b"\n")
                pipe.flush()

        send(build(load_module(PRODUCTS[request.product]), request, send))


def build(trt: Any, request: Request, send: Send) -> Success | Failure:
    """Parse, configure, build, write.

    Args:
        trt: the module.
        request: what to build.
        send: takes every event on the way.
    """
    logger = make_logger(trt, send)
    try:
        builder = trt.Builder(logger)
    except (TypeError, RuntimeError) as error:  # how its constructor says that there is none
        return Failure("start", reason_of(logger.errors) or str(error))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(request.model):
        return parser_failure(parser)
    if not network.num_inputs or not network.num_outputs:
        return Failure("parse", "it holds no network")
    config = configure(trt, builder, network, request)
    config.progress_monitor = make_monitor(trt, send)
    cache = give_timing_cache(config, request)
    plan = builder.build_serialized_network(network, config)
    measured = None if cache is None else cache.serialize()
    if measured is not None:  # of a build that failed, too: the next try need not measure again
        with suppress(OSError):
            Path(request.timing_cache).write_bytes(memoryview(measured))
    if plan is None:
        return Failure("build", reason_of(logger.errors) or "it gave no reason", short_of_memory=logger.short_of_memory)
    data = memoryview(plan)
    try:
        with naming(Path(request.plan)):
            Path(request.plan).write_bytes(data)
    except OSError as error:
        return Failure("write", f"{error.filename}: {error.strerror}")
    del builder, network, parser, config, cache  # their memory is needed to load the engine
    here = request.device is not None
    layers = [*from_inspector(inspect(trt, logger, data, request.options.version_compatible))] if here else []
    layers = layers or [*from_log(logger.lines)]
    return Success(trt.__version__, executed(layers) or None, peak_bytes(), count_reformats(layers))


def configure(trt: Any, builder: trt.Builder, network: trt.INetworkDefinition, request: Request) -> trt.IBuilderConfig:
    """What is asked of TensorRT, as it takes it; all of it was found to be possible (support.py)."""
    config, options = builder.create_builder_config(), request.options
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    image = network.get_input(0)
    profile = builder.create_optimization_profile()
    profile.set_shape(image.name, *((count, *request.image_shape) for count in request.batch))
    if config.add_optimization_profile(profile) < 0:
        raise RuntimeError(f"it takes no batch sizes of {request.batch}")
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.strip_weights:
        config.set_flag(trt.BuilderFlag.STRIP_PLAN)
    if options.hardware_compatible == "ampere+":
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    elif options.hardware_compatible == "same-cc":
        level = trt.HardwareCompatibilityLevel
        if hasattr(level, "SAME_COMPUTE_CAPABILITY"):
            config.hardware_compatibility_level = level.SAME_COMPUTE_CAPABILITY
    if hasattr(config, "set_compute_capability"):
        names = [f"SM{name.replace('.', '')}" for name in options.compute_capabilities]
        config.num_compute_capabilities = len(names)
        for index, name in enumerate(names):
            if not config.set_compute_capability(trt.ComputeCapability.__members__[name], index):
                raise RuntimeError(f"it does not build for {name}")
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)  # TensorRT for RTX captures no CUDA graph without it
    return config


def give_timing_cache(config: trt.IBuilderConfig, request: Request) -> trt.ITimingCache | None:
    """Start from the measurements of earlier builds on this GPU; from none where they cannot be read."""
    if not request.timing_cache:
        return None
    path = Path(request.timing_cache)
    for kept in (path.read_bytes() if path.exists() else b"", b""):
        cache = config.create_timing_cache(kept)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
    return None


def parser_failure(parser: trt.OnnxParser) -> Failure:
    """The first node that the parser does not take."""
    if not parser.num_errors:
        return Failure("parse", "it gave no reason")
    error = parser.get_error(0)
    return Failure("parse", error.desc(), node=error.node_name(), operator=error.node_operator())


def inspect(trt: Any, logger: trt.ILogger, plan: memoryview, host_code: bool) -> str:
    """What the inspector tells of every layer of our own engine, as JSON; empty where it cannot be loaded."""
    runtime = trt.Runtime(logger)
    runtime.engine_host_code_allowed = host_code
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        return ""
    return str(engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))


def make_logger(trt: Any, send: Send) -> Any:
    """A logger that passes on warnings, and keeps errors and the detailed log."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []
            self.lines: deque[str] = deque(maxlen=KEPT_LINES)  # the layers come last
            self.short_of_memory = False

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if is_error(trt, severity, msg):
                self.errors.append(msg)
            elif severity == trt.ILogger.WARNING:
                send(Log(msg))
                self.short_of_memory |= bool(SHORT.search(msg))
            else:
                self.lines.append(msg)

    return Logger()


def make_monitor(trt: Any, send: Send) -> Any:
    """A monitor that passes on where the build is. It never cancels: the parent ends this process instead."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            send(Start(phase_name, num_steps))

        def step_complete(self, phase_name: str, step: int) -> bool:
            send(Step(phase_name, step))
            return True

        def phase_finish(self, phase_name: str) -> None:
            send(Finish(phase_name))

    return Monitor()
