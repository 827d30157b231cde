"""The race: every target that can run the model here, measured side by side; the fastest that keeps its word wins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from runtime.backend import REFERENCE, get_backend, installed_backends, require_backend
from runtime.candidate import Candidate, Failed
from runtime.datasets import Dataset
from runtime.errors import BackendError, BackendUnavailableError
from runtime.evaluate import accuracy, predict
from runtime.latency import measure
from runtime.manifest import Accuracy, Latency
from runtime.probe import Probe, ProbeCheck, check_probe
from runtime.progress import Progress
from runtime.spec import Precision

INSTALL_CPU = "install the CPU engines: pip install '.[cpu]' in a clone of the toolkit"
MAX_DROP_POINTS = 0.1  # of a precision that nobody asked for, against FP32 on the same target
MIN_AGREEMENT = 99.9  # the same where images have no labels, in percent
SAME_GRAPH = f"{REFERENCE}, same graph"  # what measured the accuracy of an engine that cannot run here
MIN_JUDGES = 100  # held-out images: fewer cannot tell


class RaceRow(Struct, frozen=True):
    """One line of a race, for tables and JSON. Figures that were not measured are None.

    Attributes:
        target: the backend.
        precision: of the graph.
        size_bytes: of the model, and of the plan where there is one.
        p50_ms, p90_ms, p99_ms: percentiles of the time of one call, in milliseconds.
        top1: share of the images that it puts into their class, in percent.
        drop_points: what that is below FP32's on the same target, in percentage points.
        agreement: share of the images that FP32 on the same target puts into the same class, in percent.
        logits_sqnr_db: signal-to-quantization-noise ratio of the graph's logits.
        executed: how many of the layers with a weight run in each type.
        quantized: layers executed in INT8.
        quantizable: layers that have a weight to quantize.
        chosen: the bundle is made of this one.
        reason_against: why it could not win, or could not be built at all; empty where it could.
    """

    target: str
    precision: Precision
    size_bytes: int | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    top1: float | None = None
    drop_points: float | None = None
    agreement: float | None = None
    logits_sqnr_db: float | None = None
    executed: dict[str, int] = {}
    quantized: int = 0
    quantizable: int = 0
    chosen: bool = False
    reason_against: str = ""


@dataclass(frozen=True)
class Race:
    """What came of it.

    Attributes:
        winner: the candidate that was chosen.
        reason_against: what it does not do of what was asked, where no candidate does; empty otherwise.
        rows: every candidate, the FP32 references first.
        accuracy: of the winner; None where there were no images to evaluate on.
        latency: of the winner; None where it cannot run here.
        check: how the winner answered its probe; None where it cannot run here.
    """

    winner: Candidate
    reason_against: str
    rows: tuple[RaceRow, ...]
    accuracy: Accuracy | None
    latency: Latency | None
    check: ProbeCheck | None


def run_race(
    entries: Sequence[Candidate | Failed],
    precision: Precision | None,
    probes: Mapping[Precision, tuple[Probe, float]],
    timing_images: NDArray[np.uint8],
    held_out: Dataset | None,
    dataset: Dataset | None,
    progress: Progress,
) -> Race:
    """Measure candidates side by side and choose.

    Args:
        entries: what was compiled, and what failed.
        precision: the one that was asked for, others being references only; None lets every precision race that keeps
            FP32's accuracy.
        probes: of each precision's graph, with the limit that its answers are held to.
        timing_images: uint8 (n, height, width, channels), what latency is measured with.
        held_out: what the accuracy of precisions that race is judged on, never the evaluation set; None judges none.
        dataset: what accuracy is measured on; None measures none.
        progress: told of every step.

    Raises:
        BackendError: no candidate of that precision is there.
        SelfCheckError: no candidate answers its probe as it should.
    """
    candidates = [entry for entry in entries if isinstance(entry, Candidate)]
    able = [candidate for candidate in candidates if precision in (None, candidate.precision)]
    if not able:
        failed = next((entry for entry in entries if isinstance(entry, Failed)), None)
        raise BackendError(failed.reason if failed else "no target runs on this machine", INSTALL_CPU)
    running = [candidate for candidate in candidates if not candidate.cannot_run]
    checks = {one.key: check_probe(one.session, *probes[one.precision]) for one in running}
    against = {one.key: wrong_answers(checks.get(one.key)) or one.reason_against for one in candidates}
    latencies = measure({one.key: one.session for one in running}, timing_images, progress) if running else {}
    if precision is None and held_out is not None:
        judged = compare(candidates, held_out, "judge precisions", progress)
        against = {
            one.key: against[one.key] or (loses_too_much(judged[one.key]) if one.precision != "fp32" else "")
            for one in candidates
        }
    accuracies = compare(candidates, dataset, "evaluate", progress) if dataset is not None else {}
    right = [one for one in able if one.key in checks and checks[one.key].ok]
    winner = pick_winner(right or able, against, latencies)
    if winner.key in checks:
        checks[winner.key].require(f"the new engine ({winner.precision} on {winner.target})")
    rows = tuple(
        row(entry, latencies.get(entry.key), accuracies.get(entry.key), against[entry.key], entry is winner)
        if isinstance(entry, Candidate)
        else RaceRow(entry.target, entry.precision, reason_against=entry.reason)
        for entry in entries
    )
    key = winner.key
    return Race(winner, against[key], rows, accuracies.get(key), latencies.get(key), checks.get(key))


def compare(candidates: Sequence[Candidate], dataset: Dataset, name: str, progress: Progress) -> dict[str, Accuracy]:
    """The accuracy of each, and its agreement with FP32 on the same target."""
    classes = predict({candidate.key: candidate.session for candidate in candidates}, dataset, progress, name)
    return {
        candidate.key: accuracy(
            classes[candidate.key],
            classes.get(f"fp32 {candidate.runs_on}"),
            dataset.labels,
            SAME_GRAPH if candidate.cannot_run else candidate.target,
        )
        for candidate in candidates
    }


def wrong_answers(check: ProbeCheck | None) -> str:
    """Why an engine that does not answer its probe may not win; empty where it does, or cannot be asked."""
    if check is None or check.ok:
        return ""
    return f"it does not answer its probe as it should: distance {check.distance:.3g}, limit {check.limit:g}"


def loses_too_much(measured: Accuracy) -> str:
    """Why a precision that nobody asked for may not win; empty where it may."""
    where = f"on {measured.images:,} held-out calibration images"
    if measured.images < MIN_JUDGES:
        return f"it was not asked for, and {measured.images:,} held-out images are too few to judge it"
    if measured.agreement is None:
        return "it was not asked for, and there is no FP32 on this target to judge it by"
    if measured.drop_points is not None:
        lost = measured.drop_points
        return f"it loses {lost:.2f} points {where}, over {MAX_DROP_POINTS:g}" if lost > MAX_DROP_POINTS else ""
    if measured.agreement < MIN_AGREEMENT:
        return f"it agrees with FP32 on {measured.agreement:.2f} % {where}, under {MIN_AGREEMENT:g}"
    return ""


def row(
    candidate: Candidate, latency: Latency | None, measured: Accuracy | None, reason_against: str, chosen: bool
) -> RaceRow:
    """A candidate with its figures."""
    reached = [layer.reached for layer in candidate.layers]
    return RaceRow(
        target=candidate.target,
        precision=candidate.precision,
        size_bytes=candidate.size_bytes,
        p50_ms=latency.p50 if latency else None,
        p90_ms=latency.p90 if latency else None,
        p99_ms=latency.p99 if latency else None,
        top1=measured.top1 if measured else None,
        drop_points=measured.drop_points if measured else None,
        agreement=measured.agreement if measured else None,
        logits_sqnr_db=candidate.error.logits_sqnr_db,
        executed={kind: reached.count(kind) for kind in sorted(set(reached))},
        quantized=candidate.coverage.quantized,
        quantizable=candidate.coverage.quantizable,
        chosen=chosen,
        reason_against=reason_against,
    )


def pick_winner(
    candidates: Sequence[Candidate], against: Mapping[str, str], latencies: Mapping[str, Latency]
) -> Candidate:
    """The fastest candidate that can win; where none can, the fastest of those that miss least of what was asked.

    One that cannot run here comes last: it is only there where it was asked for by name.
    """
    able = [candidate for candidate in candidates if not against[candidate.key]] or candidates
    fewest = min(len(candidate.missing) for candidate in able)
    return min(
        (candidate for candidate in able if len(candidate.missing) == fewest),
        key=lambda one: latencies[one.key].p50 if one.key in latencies else math.inf,
    )


def resolve_targets(target: str, device: str | None = None) -> list[str]:
    """The backends that a `--target` stands for, and that have the device.

    Args:
        target: a backend's name, or `auto`.
        device: a backend's name of a device; None is its usual one.

    Raises:
        BackendError: the one that is named neither runs nor builds here, or none runs, or none has that device.
    """
    if target != "auto":
        require_backend(target, to_build=True)
        if device is None:
            return [target]
    targets = installed_backends() if target == "auto" else [target]
    if not targets:
        raise BackendUnavailableError("no target runs on this machine", INSTALL_CPU)
    devices = {name: get_backend(name).available().devices for name in targets}
    able = [name for name in targets if device is None or device in devices[name]]
    if not able:
        there = "; ".join(f"{name} has {', '.join(devices[name]) or 'none'}" for name in targets)
        raise BackendError(f"there is no device '{device}' here", f"leave --device out, or give one that is: {there}")
    return able


def require_race(targets: Sequence[str], precision: Precision | None) -> None:
    """Refuse to race precisions on a target that cannot be timed here.

    Raises:
        BackendUnavailableError: it does not run here.
    """
    for target in targets if precision is None else ():
        availability = get_backend(target).available()
        if not availability.ok:
            raise BackendUnavailableError(
                f"{target} does not run here, so precisions cannot race on it: {availability.reason}",
                "say which one: --fp32, --fp16, --int8, or --int8 --fp16",
            )
