"""All that is measured of some engines in one run, step by step; what the machine did meanwhile is watched.

sessions --warm up--> take turns ----> times, ratios, CPU        always
         --for each batch size, in turns--> throughput           batches
         --one after another, at a pace--> latency of a camera   paces
         --processes of their own, in turns--> cold starts       cold_starts
         --with pictures, in turns--> preparation                pictures
         --one after another, with a meter--> energy             energy
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.datasets import Dataset
from runtime.latency import ROUNDS, measure_parts, percentiles
from runtime.manifest import Latency
from runtime.measure.cold import Opening, measure_cold
from runtime.measure.energy import measure_energy
from runtime.measure.machine import Watch, WatchedProgress
from runtime.measure.meters import find_meter
from runtime.measure.offline import measure_offline, powers_of_two
from runtime.measure.paced import measure_paced
from runtime.measure.preparation import measure_preparation
from runtime.measure.result import Conditions, Energy, Paced, Performance
from runtime.measure.single import MOST_WARM_UP_S, describe_single, measure_single
from runtime.measure.statistics import drift
from runtime.measure.turns import Block, make_work
from runtime.progress import Progress
from runtime.session import Session

AUTO = (0,)  # batch sizes: the powers of two that the engines serve
MOST_DRIFT = 0.1  # of the median, from the first half of a run to the second
MOST_LATE = 0.5  # of the frames, before an engine is said not to keep up


@dataclass(frozen=True)
class MeasureOptions:
    """What to measure.

    Attributes:
        seconds: for each engine and each kind of measurement, about.
        batch: images a call of the single stream, and of energy.
        batches: sizes to measure throughput at; empty for none, `AUTO` for those that the engines serve.
        paces: frames a second, each measured apart.
        cold_starts: processes to start for each engine.
        energy: whether to measure it.
    """

    seconds: float = 2.0
    batch: int = 1
    batches: tuple[int, ...] = ()
    paces: tuple[float, ...] = ()
    cold_starts: int = 0
    energy: bool = False


class Measured(NamedTuple):
    """What came of it.

    Attributes:
        performances: by the engine's name.
        conditions: of the machine meanwhile.
        latencies: percentiles of whatever was timed, be it few calls, as `build` gives them; by the engine's name.
    """

    performances: dict[str, Performance]
    conditions: Conditions
    latencies: dict[str, Latency]


def measure_all(
    sessions: Mapping[str, Session],
    images: Mapping[str, NDArray[np.uint8]],
    options: MeasureOptions,
    progress: Progress,
    *,
    openings: Mapping[str, Opening] | None = None,
    pictures: Dataset | None = None,
    root: Path = Path("/"),
) -> Measured:
    """Measure engines side by side.

    Args:
        sessions: by name; the first is what the others are compared with.
        images: uint8 (n, height, width, channels) for each, by the same names.
        options: what to measure.
        progress: told of every step.
        openings: how each is opened, for cold starts; left out, there are none.
        pictures: to measure preparation with; None measures none.
        root: where the machine's files are.
    """
    watch = Watch(root)
    progress = WatchedProgress(progress, watch)
    seconds, names = options.seconds, list(sessions)
    works = {name: make_work(session, images[name], options.batch) for name, session in sessions.items()}
    ones = {name: make_work(session, images[name], 1) for name, session in sessions.items()}

    blocks, warm_ups = measure_single(works, progress, seconds=seconds, rounds=ROUNDS)
    batches = powers_of_two(sessions) if options.batches == AUTO else options.batches
    sweeps = measure_offline(sessions, images, batches, progress, seconds=seconds) if batches else {}
    paced = [measure_paced(ones, fps, progress, seconds=seconds) for fps in options.paces]
    cold = measure_cold(openings, options.cold_starts, progress) if openings and options.cold_starts else {}
    preparation = measure_preparation(sessions, pictures, progress) if pictures is not None else {}
    parts = {name: measure_parts(session, works[name].images) for name, session in sessions.items()}
    energies: dict[str, Energy | str] = dict.fromkeys(names, "")
    if options.energy:
        on_gpu = {name: runs_on_gpu(session, images[name]) for name, session in sessions.items()}
        energies = measure_energy(works, on_gpu, progress, seconds=seconds, meter=find_meter(root))

    single = describe_single(blocks, warm_ups, options.batch)
    performances = {
        name: Performance(
            single=single[name],
            batches=sweeps.get(name, ()),
            paced=tuple(pace[name] for pace in paced),
            cold=cold.get(name),
            preparation=preparation.get(name),
            energy=energy if isinstance(energy := energies[name], Energy) else None,
            energy_reason=energy if isinstance(energy, str) else "",
            gpu=parts[name],
        )
        for name in names
    }
    conditions = watch.conditions(*split_up(sessions, options.batch), *unsteady(performances, blocks, options.seconds))
    latencies = {
        name: percentiles([int(ns) for block in turns for ns in block.times]) for name, turns in blocks.items()
    }
    return Measured(performances, conditions, latencies)


def runs_on_gpu(session: Session, images: NDArray[np.uint8]) -> bool:
    """Whether the engine can tell what a call on a GPU spends its time on."""
    work = make_work(session, images, session.batch.smallest)
    return session.time_parts(work.images, work.out) is not None


def split_up(sessions: Mapping[str, Session], batch: int) -> Iterator[str]:
    """Which engines need several calls for a batch."""
    for name, session in sessions.items():
        if batch > session.batch.largest:
            served = f"{session.batch.smallest} to {session.batch.largest}"
            yield f"{name} serves {served} images a call: {batch} took {-(-batch // session.batch.largest)} calls"


def unsteady(
    performances: Mapping[str, Performance], blocks: Mapping[str, list[Block]], seconds: float
) -> Iterator[str]:
    """What times themselves say against relying on them; `seconds` are those for each engine."""
    longer = "--seconds gives it longer" if seconds < MOST_WARM_UP_S else "trust ratios, not milliseconds"
    for name, performance in performances.items():
        if not performance.single.steady:
            yield f"{name}: times were not steady when the measurement began: {longer}"
        if abs(moved := drift([block.times for block in blocks[name]])) > MOST_DRIFT:
            yield (
                f"{name}: times {'rose' if moved > 0 else 'fell'} by {abs(moved):.0%} from the first half of the run "
                "to the second: trust ratios, not milliseconds"
            )
        for pace in performance.paced:
            if falls_behind(pace):
                late = f"{pace.late} of {pace.times.samples} frames were late"
                yield f"{name} cannot keep up with {pace.fps:g} fps: {late}"


def falls_behind(pace: Paced) -> bool:
    """Whether most answers came after the next frame was due."""
    return pace.late > MOST_LATE * pace.times.samples
