"""What `bench`, `verify` and `export --format triton` print with --json: values only, without PyTorch and ONNX."""

from __future__ import annotations

from msgspec import Struct

from runtime.manifest import GpuTimes, Latency
from runtime.measure.result import Conditions, Machine, Performance
from runtime.spec import Precision
from toolkit.gates import GateResult


class BenchRow(Struct, frozen=True):
    """One bundle of `bench --json`.

    Attributes:
        bundle: its folder, as it was named.
        model: its name.
        precision: of the graph.
        backend: that ran it.
        threads: of the CPU.
        batch: images a call.
        latency_ms: of a call, over however few were timed; `performance` has only the percentiles that these support.
        images_per_second: at the median.
        performance: all that was timed, in full.
        conditions: the machine's state meanwhile, the same in each row.
        machine: that it was measured on, the same in each row.
        gpu: what a call on a GPU spends its time on; null elsewhere.
        gates: what came of them, in the order in which they were given.
    """

    bundle: str
    model: str
    precision: Precision
    backend: str
    threads: int
    batch: int
    latency_ms: Latency
    images_per_second: float
    performance: Performance
    conditions: Conditions
    machine: Machine
    gpu: GpuTimes | None = None
    gates: tuple[GateResult, ...] = ()


class Verified(Struct, frozen=True):
    """`verify --json` of a bundle that could be opened.

    Attributes:
        bundle: its folder, as it was named.
        backend: that was asked.
        files: how many are as they were built.
        images: of the probe.
        distance: of its answers from those in the bundle, the largest over the images; null where one is infinite.
        limit: the largest distance that is accepted.
        wrong: images whose class changed although it was not close.
        ok: whether the engine answers as it should.
    """

    bundle: str
    backend: str
    files: int
    images: int
    distance: float | None
    limit: float
    wrong: int
    ok: bool


class Unverified(Struct, frozen=True):
    """`verify --json` of a bundle that could not even be opened.

    Attributes:
        bundle: its folder, as it was named.
        ok: false.
        error: why.
        hint: what to do.
    """

    bundle: str
    ok: bool
    error: str
    hint: str


class TritonModel(Struct, frozen=True):
    """`export --format triton --json`.

    Attributes:
        model: its name in the repository.
        folder: that was written.
        target: of the bundle.
    """

    model: str
    folder: str
    target: str
