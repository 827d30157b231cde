"""Runs a plan: images to the device, one `execute_async_v3`, answers back, on one stream; as a CUDA graph where it can.

open_engine: plan -> engine -> contexts, buffers -> a first run -> graph
run:         images -> page-locked memory -> launch -> wait -> answers
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from hashlib import sha256
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.backend import EngineFile, EngineOptions, Parts
from runtime.backends.cuda import Active, Cuda, Device, find_device
from runtime.backends.tensorrt.buffers import Buffers
from runtime.backends.tensorrt.contexts import Contexts, cache_entry
from runtime.backends.tensorrt.failures import ErrorLog, failed, forget_frames
from runtime.backends.tensorrt.lanes import Lane, Lanes
from runtime.backends.tensorrt.plan import load_plan, require_trust
from runtime.errors import BackendError
from runtime.spec import ModelSpec

LOG = logging.getLogger(__name__)
SAME = 1e-3  # two answers to the same image are that close, as probabilities


class TensorRtEngine:
    """A plan that is ready to run; `open_engine` makes it.

    Attributes:
        device: the GPU that it runs on.
        captures: a batch size that is new gets a CUDA graph.
    """

    def __init__(
        self,
        trt: Any,
        cuda: Cuda,
        device: Device,
        engine_file: EngineFile,
        spec: ModelSpec,
        options: EngineOptions,
        log: ErrorLog,
        inside: ExitStack,
    ) -> None:
        """Make everything ready, in the device's context; `inside` takes what gives it back there."""
        self.device, self.captures = device, cuda.has_graphs
        self._cuda, self._log, self._path, self._inside = cuda, log, engine_file.path, inside
        self._stream = cuda.create_stream()
        inside.callback(cuda.destroy_stream, self._stream)
        try:
            data = engine_file.path.read_bytes()
        except OSError as error:
            raise BackendError(f"cannot read {engine_file.path}: {error.strerror}", "build the bundle again") from error
        engine = load_plan(trt, engine_file, data, spec, options, log)
        made_from = {"plan": sha256(data).hexdigest(), "version": trt.__version__, "device": device.name}
        entry = cache_entry(options.cache_dir, trt.__name__, made_from)
        contexts = Contexts(trt, cuda, engine, entry, log, inside)
        self._buffers = Buffers(cuda, spec, options.batch.largest, device.integrated, inside)
        self._lanes = Lanes(contexts, self._buffers, spec, log)
        self._events: list[int] = []
        inside.callback(self._lanes.close)
        inside.callback(self._settle)
        # Once for nothing: what fails, fails here, and the first images wait for no kernel to be loaded.
        best = options.batch.best
        self._run(np.zeros((best, *spec.image_shape), np.uint8), np.empty((best, spec.classes), np.float32))

    def hold(self, active: Active, closing: ExitStack) -> None:
        """Take over the device's context, and what closes all of it."""
        self._active, self._closing = active, closing

    def run(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        """Answer one batch.

        Args:
            batch: uint8 (n, height, width, channels), n within the batch range.
            out: float32 (n, classes), written in place.

        Raises:
            BackendError: CUDA or TensorRT fails.
        """
        with self._active:
            try:
                self._run(batch, out)
            except BaseException as error:
                self._clean_up(error)
                raise

    def _run(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        lane = self._lanes.get(len(batch))
        np.copyto(lane.images, batch)
        if lane.graph:
            self._cuda.launch(lane.graph, self._stream)
        else:
            self._enqueue(lane)
        self._cuda.synchronize(self._stream)
        np.copyto(out, lane.answers)
        if self.captures and lane.keeps_shape and not lane.graph:
            self._capture(lane)  # behind a run, in which a context did what it does once for a shape

    def _enqueue(self, lane: Lane) -> None:
        size = len(lane.images)
        self._buffers.send(size, self._stream)
        self._execute(lane)
        self._buffers.fetch(size, self._stream)

    def _execute(self, lane: Lane) -> None:
        if not lane.context.execute_async_v3(self._stream):
            raise failed(self._log, f"TensorRT cannot run {self._path} with a batch of {len(lane.images)}")

    def _capture(self, lane: Lane) -> None:
        """Record the run that has just been made as a graph; where that fails, do without from now on."""
        try:
            # Only TensorRT for RTX can tell beforehand.
            if hasattr(lane.context, "is_stream_capturable") and not lane.context.is_stream_capturable(self._stream):
                raise BackendError("TensorRT says that it cannot be captured")
            self._cuda.begin_capture(self._stream)
            try:
                self._enqueue(lane)
            except BaseException:
                self._cuda.abandon_capture(self._stream)
                raise
            graph = self._cuda.end_capture(self._stream)
            self._inside.callback(self._cuda.destroy_graph, graph)
            self._check_graph(graph, lane)
        except BackendError as error:
            self._settle()
            self.captures = False
            LOG.warning("%s runs without CUDA graphs, which is slower: %s", self._path, error.message)
            return
        lane.graph = graph

    def _check_graph(self, graph: int, lane: Lane) -> None:
        """Launch a graph, which must answer as the run before: work that is not captured is missing without a word."""
        want = lane.answers.copy()
        lane.answers.fill(np.nan)
        self._cuda.launch(graph, self._stream)
        self._cuda.synchronize(self._stream)
        if not np.allclose(lane.answers, want, atol=SAME):
            raise BackendError("a captured graph answers otherwise")

    def time_parts(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> Parts:
        """Answer one batch as `run` does, but without a graph, and say what took how long.

        Raises:
            BackendError: CUDA or TensorRT fails.
        """
        with self._active:
            try:
                return self._time_parts(batch, out)
            except BaseException as error:
                self._clean_up(error)
                raise

    def _time_parts(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> Parts:
        cuda, stream, size = self._cuda, self._stream, len(batch)
        while len(self._events) < 4:
            event = cuda.create_event()
            self._inside.callback(cuda.destroy_event, event)
            self._events.append(event)
        start, sent, computed, fetched = self._events
        lane = self._lanes.get(size)
        began = perf_counter_ns()
        np.copyto(lane.images, batch)
        cuda.record(start, stream)
        self._buffers.send(size, stream)
        cuda.record(sent, stream)
        enqueue_began = perf_counter_ns()
        self._execute(lane)
        enqueue_ended = perf_counter_ns()
        cuda.record(computed, stream)
        self._buffers.fetch(size, stream)
        cuda.record(fetched, stream)
        cuda.synchronize(stream)
        np.copyto(out, lane.answers)
        ended = perf_counter_ns()
        return Parts(
            cuda.elapsed_ms(start, sent),
            cuda.elapsed_ms(sent, computed),
            cuda.elapsed_ms(computed, fetched),
            (enqueue_ended - enqueue_began) / 1e6,
            (ended - began) / 1e6,
        )

    def _clean_up(self, error: BaseException) -> None:
        """After a failure: leave nothing that uses the buffers, and no frame that keeps a context of TensorRT's."""
        self._settle()
        forget_frames(error)

    def _settle(self) -> None:
        with suppress(BackendError):
            self._cuda.synchronize(self._stream)

    def close(self) -> None:
        """Give everything back, on any thread."""
        self._closing.close()


def open_engine(
    trt: Any, cuda: Cuda, engine_file: EngineFile, spec: ModelSpec, options: EngineOptions, logger: ErrorLog
) -> TensorRtEngine:
    """Load a plan and make it ready to run.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        cuda: the driver.
        engine_file: the plan; `model` is needed where it lacks its weights.
        spec: what it takes and gives.
        options: `batch`, `device` (such as `cuda:0`), `cache_dir`, `trust`, and how the plan was built.
        logger: TensorRT's.

    Raises:
        BackendError: there is no such device; the plan is not trusted, not for this machine, another model's or for
            other batch sizes; or CUDA or TensorRT fails.
        DeviceMemoryError: the device has no memory left.
    """
    require_trust(engine_file, options)
    device = find_device(cuda, options.device)
    with ExitStack() as closing:
        context = cuda.retain(device.index)
        closing.callback(cuda.release, context)
        active, inside = Active(cuda, context), ExitStack()
        closing.callback(close_in, active, inside)
        with active:
            try:
                engine = TensorRtEngine(trt, cuda, device, engine_file, spec, options, logger, inside)
            except BaseException as error:
                forget_frames(error)
                raise
        engine.hold(active, closing.pop_all())
    return engine


def close_in(active: Active, inside: ExitStack) -> None:
    """Give back what belongs to a context, in it."""
    with active:
        inside.close()
