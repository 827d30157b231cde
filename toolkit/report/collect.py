"""Measure bundles side by side, and put what came of it into a `Report`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from msgspec import structs

from runtime.backend import REFERENCE, available_cores, get_backend
from runtime.bundle import MODEL, PLAN, Bundle
from runtime.datasets import Dataset
from runtime.evaluate import require_readable
from runtime.measure.accuracy import measure_accuracy
from runtime.measure.machine import describe_machine
from runtime.measure.result import MeasuredAccuracy, Performance
from runtime.measure.run import MeasureOptions, measure_all
from runtime.progress import Progress
from toolkit import toolkit_version
from toolkit.figures import TIME_RATIO
from toolkit.gates import Gate, judge
from toolkit.options import EngineChoice
from toolkit.report.figures import report_figures
from toolkit.report.opening import find_reference, open_bundles, open_images, open_sessions, open_stand_ins
from toolkit.report.recommend import recommend
from toolkit.report.result import REPORT_VERSION, EngineReport, Report

FEW_IMAGES = 500


@dataclass(frozen=True)
class ReportRequest:
    """What to report.

    Attributes:
        bundles: their folders.
        reference: the one that answers are compared with; None takes the first that is FP32.
        data: the images; None measures no accuracy.
        images: how many of them, evenly spaced; None takes all.
        engine: how each bundle is opened.
        measure: what is timed, and for how long.
        command: as it was given.
    """

    bundles: tuple[Path, ...]
    reference: Path | None
    data: Path | None
    images: int | None
    engine: EngineChoice
    measure: MeasureOptions
    command: str


def collect(request: ReportRequest, progress: Progress) -> tuple[Report, Dataset | None]:
    """Open, time, evaluate.

    Returns:
        The report, and the images that it is on.

    Raises:
        ToolkitError: a bundle, the images or the machine cannot be used.
    """
    start = time.monotonic()
    created = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    bundles = open_bundles(request.bundles, request.reference)
    openings = {name: request.engine.opening(one.path) for name, one in bundles.items()}
    reference = find_reference(bundles, request.reference)
    dataset = None if request.data is None else open_images(request.data, request.images, bundles)
    if dataset is not None:
        require_readable(dataset, progress)
    with ExitStack() as stack:
        sessions, absent = open_sessions(bundles, openings, stack)
        measured = measure_all(
            sessions,
            {name: bundles[name].probe.images for name in sessions},
            request.measure,
            progress,
            openings={name: openings[name] for name in sessions},
            pictures=dataset,
        )
        accuracies: Mapping[str, MeasuredAccuracy] = {}
        if dataset is not None:
            answering = sessions | open_stand_ins(bundles, openings, absent, stack)
            accuracies = measure_accuracy(answering, dataset, reference, progress)
    engines = [
        engine_report(
            bundle, request.engine, name, measured.performances.get(name), absent.get(name, ""), accuracies.get(name)
        )
        for name, bundle in bundles.items()
    ]
    report = Report(
        report_version=REPORT_VERSION,
        toolkit_version=toolkit_version(),
        created=created,
        command=request.command,
        seconds=round(time.monotonic() - start, 3),
        machine=describe_machine(),
        conditions=measured.conditions,
        data="" if dataset is None else dataset.name,
        images=0 if dataset is None else len(dataset),
        reference=reference,
        engines=tuple(engines),
        recommendation=recommend(engines),
        against=None,
        warnings=tuple(doubts(engines, reference, dataset)),
        files={},
    )
    return report, dataset


def engine_report(
    bundle: Bundle,
    engine: EngineChoice,
    name: str,
    performance: Performance | None,
    absent: str,
    accuracy: MeasuredAccuracy | None,
) -> EngineReport:
    """What is known of one."""
    manifest = bundle.manifest
    backend = engine.backend or manifest.target
    own = backend == manifest.target
    return EngineReport(
        name=name,
        bundle=str(bundle.path),
        digest=manifest.digest,
        model=manifest.spec.name,
        precision=manifest.precision,
        backend=backend,
        backend_version=get_backend(backend).available().version,
        device=engine.device or "",
        threads=engine.threads or available_cores(),
        size_bytes=sum(manifest.files[file].size for file in (MODEL, PLAN) if file in manifest.files),
        toolkit_version=manifest.toolkit_version,
        layers=manifest.layers if own else tuple(structs.replace(x, reached="unknown") for x in manifest.layers),
        logits_sqnr_db=manifest.error.logits_sqnr_db,
        performance=performance,
        performance_reason=absent,
        accuracy=accuracy,
        accuracy_reason="" if accuracy else absent or "no images were given: give --data",
        accuracy_with="" if accuracy is None else REFERENCE if absent else backend,
    )


def conclude(report: Report, gates: Sequence[Gate]) -> Report:
    """The report with what came of gates, which are a budget: not for the reference, unless it stands alone.

    The time ratio is no gate for the engine that others are timed against: its own is 1.
    """
    alone = len(report.engines) == 1
    others = [gate for gate in gates if gate.name != TIME_RATIO]

    def keep(engine: EngineReport) -> EngineReport:
        if engine.name == report.reference and not alone:
            return engine
        first = engine.performance is not None and engine.performance.single.ratio is None
        return structs.replace(engine, gates=judge(others if first and not alone else gates, report_figures(engine)))

    engines = tuple(map(keep, report.engines))
    return structs.replace(report, engines=engines, recommendation=recommend(engines))


def doubts(engines: Sequence[EngineReport], reference: str | None, dataset: Dataset | None) -> Iterator[str]:
    """What makes the report less than it seems."""
    if dataset is None:
        yield "no images were given, so nothing is said of accuracy: --data FOLDER"
    elif dataset.labels is None:
        yield "the images have no labels: answers are compared with each other alone"
    elif len(dataset) < FEW_IMAGES:
        yield f"{len(dataset):,} images are few: the intervals of accuracies are wide"
    if reference is None and len(engines) > 1:
        yield "none of these bundles is FP32, so answers are compared with nothing: --reference BUNDLE"
    for engine in engines:
        if engine.performance_reason:
            graph = f"; its graph answered on {engine.accuracy_with}" if engine.accuracy else ""
            yield f"{engine.name} was not timed: {engine.performance_reason}{graph}"
        if engine.accuracy and engine.accuracy.broken:
            yield f"{engine.name} answers NaN or infinity to {engine.accuracy.broken:,} images"
