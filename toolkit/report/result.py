"""A report: the JSON of `report`, of which its HTML and Markdown are made. Values only."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from runtime.manifest import LayerEntry
from runtime.measure.result import Conditions, Interval, Machine, MeasuredAccuracy, Performance
from runtime.spec import Precision
from toolkit.gates import GateResult

REPORT_VERSION = 1


class EngineReport(Struct, frozen=True):
    """One bundle, as it was run.

    Attributes:
        name: the shortest that tells it from the others.
        bundle: its folder, as it was named.
        digest: of its manifest.
        model: its name.
        precision: of the graph.
        backend: that ran it.
        backend_version: of that.
        device: of the backend; empty for its usual one.
        threads: of the CPU.
        size_bytes: of graph and plan.
        toolkit_version: that built it.
        layers: precision asked for and reached, and the error of each, from the build.
        logits_sqnr_db: of the whole, from the build; null for FP32.
        performance: what was timed; null where the engine does not run here.
        performance_reason: why not.
        accuracy: what was answered; null without images.
        accuracy_reason: why not.
        accuracy_with: the backend that answered: ONNX Runtime where the engine does not run here, on the same graph.
        gates: what came of them, in the order in which they were given.
    """

    name: str
    bundle: str
    digest: str
    model: str
    precision: Precision
    backend: str
    backend_version: str
    device: str
    threads: int
    size_bytes: int
    toolkit_version: str
    layers: tuple[LayerEntry, ...]
    logits_sqnr_db: float | None
    performance: Performance | None
    performance_reason: str
    accuracy: MeasuredAccuracy | None
    accuracy_reason: str
    accuracy_with: str
    gates: tuple[GateResult, ...] = ()


class Recommendation(Struct, frozen=True):
    """Which engine to take.

    Attributes:
        engine: its name; null where none is within the budget.
        text: why, in words.
        on_front: names of those that no other beats in both time and accuracy.
    """

    engine: str | None
    text: str
    on_front: tuple[str, ...]


class Change(Struct, frozen=True):
    """A figure beside that of an earlier report.

    Attributes:
        engine: its name in this report.
        figure: its name, such as `p50_ms`.
        before, now: in its unit.
        interval: of `now` over `before` for times, of `now` less `before` for percentages; null where it is not known.
        verdict: `better` or `worse` beyond noise, `same` within it, `unknown` where noise is not known.
    """

    engine: str
    figure: str
    before: float
    now: float
    interval: Interval | None
    verdict: Literal["better", "worse", "same", "unknown"]


class Against(Struct, frozen=True):
    """This report beside an earlier one.

    Attributes:
        file: of the earlier one.
        created: when that was made.
        warnings: what makes them hard to compare, such as another machine or library.
        changes: figure by figure.
        missing: names of engines that only one of them has.
    """

    file: str
    created: str
    warnings: tuple[str, ...]
    changes: tuple[Change, ...]
    missing: tuple[str, ...]


class Report(Struct, frozen=True):
    """`report --json`, and report.json.

    Attributes:
        report_version: of this form.
        toolkit_version: that measured.
        created: UTC, ISO 8601.
        command: that was given, without the program's path.
        seconds: that it took.
        machine: that it was measured on.
        conditions: the machine's state meanwhile.
        data: the set of images; empty without one.
        images: how many of them.
        reference: the name of the engine that others are paired with; null without one.
        engines: in the order in which they were given.
        recommendation: which one to take.
        against: an earlier report; null without one.
        warnings: what makes the report less than it seems.
        files: that were written, by kind.
    """

    report_version: int
    toolkit_version: str
    created: str
    command: str
    seconds: float
    machine: Machine
    conditions: Conditions
    data: str
    images: int
    reference: str | None
    engines: tuple[EngineReport, ...]
    recommendation: Recommendation
    against: Against | None
    warnings: tuple[str, ...]
    files: dict[str, str]
