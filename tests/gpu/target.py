"""A product and its GPU, with the few steps that all tests take: build a plan, open it, look at the memory."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.backend import EngineFile, EngineOptions, get_backend
from runtime.backends.tensorrt.backend import Gpu, TensorRtBackend, find_gpu, free_memory
from runtime.backends.tensorrt.engine import TensorRtEngine
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.probe import Probe, check_probe
from runtime.progress import SilentProgress
from runtime.session import Session
from runtime.spec import BatchRange, ModelSpec, Precision
from tests.gpu.models import BATCH, Models


@dataclass
class Target:
    """A product that runs here.

    Attributes:
        name: of the backend.
        backend: the backend.
        gpu: the first one.
        models: what can be built.
        folder: for plans.
    """

    name: str
    backend: TensorRtBackend
    gpu: Gpu
    models: Models
    folder: Path
    plans: dict[tuple[str, Precision], EngineFile] = field(default_factory=dict)

    @property
    def is_rtx(self) -> bool:
        return self.name == "tensorrt-rtx"

    def compile(
        self,
        graph: Path,
        spec: ModelSpec,
        precision: Precision = "fp32",
        cache_dir: Path | None = None,
        **tensorrt: Any,
    ) -> EngineFile:
        """Build a plan, in a folder of its own, for batches of 1:4:8."""
        options = EngineOptions(precision, BATCH, cache_dir=cache_dir, tensorrt=TensorRtOptions(**tensorrt))
        self.backend.refuse(options)
        return self.backend.compile(graph, Path(tempfile.mkdtemp(dir=self.folder)), spec, options, SilentProgress())

    def plan(self, model: str, precision: Precision) -> EngineFile:
        """A model's plan, which is built once; not to be changed."""
        if (model, precision) not in self.plans:
            found = self.models[model]
            self.plans[model, precision] = self.compile(found.graphs[precision].path, found.spec, precision)
        return self.plans[model, precision]

    def open(self, file: EngineFile, spec: ModelSpec, batch: BatchRange = BATCH, **options: Any) -> TensorRtEngine:
        """An engine, which the caller closes."""
        return self.backend.load(file, spec, EngineOptions(batch=batch, **options))

    def session(self, model: str, precision: Precision, batch: BatchRange = BATCH, **options: Any) -> Session:
        """A session over a model's plan, which the caller closes."""
        spec = self.models[model].spec
        return Session(self.open(self.plan(model, precision), spec, batch, **options), spec, batch)

    def check(self, file: EngineFile, model: str, precision: Precision, **options: Any) -> None:
        """Run a plan, and hold its answers to ONNX Runtime's."""
        found = self.models[model]
        probe, limit = found.probes[precision]
        with Session(self.open(file, found.spec, **options), found.spec, BATCH) as session:
            check_probe(session, probe, limit).require(f"{file.path} on {self.name}")

    def free_bytes(self) -> int:
        """Of the device's memory."""
        return free_memory(self.gpu)


def make_target(name: str, models: Models, folder: Path) -> Target:
    """A product that runs here, on the first GPU."""
    backend, gpu = get_backend(name), find_gpu(None)
    assert isinstance(backend, TensorRtBackend) and gpu is not None
    return Target(name, backend, gpu, models, folder)


def part(probe: Probe, start: int, size: int) -> Probe:
    """Some of a probe's images, with their answers."""
    chosen = slice(start, start + size)
    return Probe(probe.images[chosen], probe.expected[chosen], probe.fp32[chosen])
